import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.devices.elf import load_segments, read_image, symbol_address
from harness.errors import LoadError

pytestmark = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
)


def test_segments_lie_at_their_load_addresses(firmware: Path) -> None:
    code, data = load_segments(firmware)
    assert code.address == 0
    assert not code.writable
    assert data.address == code.end  # .data is stored behind the code and copied to RAM at start-up
    assert (0x12345678).to_bytes(4, "little") in data.data
    assert data.writable


def test_symbols_have_no_thumb_bit_and_name_their_code(firmware: Path) -> None:
    image = read_image(firmware)
    tick = image.symbols["tick"]
    assert tick.address % 2 == 0
    assert image.function_at(tick.address + 2) == "tick"
    assert image.function_at(0x0800_0000) is None
    assert symbol_address(firmware, "tick") == tick.address
    assert not image.position_independent
    with pytest.raises(LoadError, match="no symbol 'nothing'"):
        symbol_address(firmware, "nothing")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_but_nothing_else(
    firmware: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(firmware.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) :]
    damaged = tmp_path / "damaged.elf"
    damaged.write_bytes(content)
    try:
        read_image(damaged)
    except LoadError as error:
        assert str(damaged) in str(error)
