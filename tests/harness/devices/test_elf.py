import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
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


def symbols_of_pyelftools(path: Path) -> dict[str, tuple[int, int]]:
    """The same symbols, record by record: name -> address, size."""
    found: dict[str, tuple[int, int]] = {}
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        for section in elf.iter_sections():
            if not isinstance(section, SymbolTableSection):
                continue
            for entry in section.iter_symbols():
                kind = entry["st_info"]["type"]
                if not entry.name or kind not in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE"):
                    continue
                if entry["st_shndx"] != "SHN_UNDEF":
                    thumb = elf["e_machine"] == "EM_ARM" and kind == "STT_FUNC"
                    address = entry["st_value"] & ~1 if thumb else entry["st_value"]
                    found.setdefault(entry.name, (address, entry["st_size"]))
    return found


def symbols_here(path: Path) -> dict[str, tuple[int, int]]:
    return {name: (symbol.address, symbol.size) for name, symbol in read_image(path).symbols.items()}


def tables(path: Path) -> list[tuple[int, int]]:
    """Offset and size in the file of its symbols and of their names."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        (symbols,) = (each for each in elf.iter_sections() if isinstance(each, SymbolTableSection))
        return [(each["sh_offset"], each["sh_size"]) for each in (symbols, symbols.stringtable)]


def test_symbols_are_those_of_pyelftools(firmware: Path) -> None:
    assert len(symbols_here(firmware)) > 10
    assert symbols_here(firmware) == symbols_of_pyelftools(firmware)


@pytest.mark.parametrize(
    "command",
    [
        ("gcc",),
        ("arm-none-eabi-gcc", "-mthumb", "-mcpu=cortex-m4"),
        ("arm-none-eabi-gcc", "-mthumb", "-mcpu=cortex-m4", "-mbig-endian"),
    ],
)
def test_symbols_of_either_width_and_order_are_those_of_pyelftools(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    source = tmp_path / "object.c"
    source.write_text(
        "int known = 5; extern int other; volatile char buffer[300];\n"
        "int get(int at) { return known + other + buffer[at]; }\n"
    )
    built = tmp_path / "object.o"
    subprocess.run([*command, "-O1", "-c", source, "-o", built], check=True)
    found = symbols_here(built)
    assert {"known", "get", "buffer"} <= set(found)
    assert "other" not in found
    assert found == symbols_of_pyelftools(built)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_symbols_are_refused_or_those_of_pyelftools(
    firmware: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(firmware.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start, size = data.draw(st.sampled_from(tables(firmware)))
        content[start + data.draw(st.integers(0, size - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "damaged.elf"
    damaged.write_bytes(content)
    try:
        found = symbols_here(damaged)
    except LoadError as error:
        assert str(damaged) in str(error)
    else:
        assert found == symbols_of_pyelftools(damaged)


def test_a_name_without_end_is_refused(firmware: Path, tmp_path: Path) -> None:
    (_, _), (start, size) = tables(firmware)
    content = bytearray(firmware.read_bytes())
    content[start : start + size] = b"a" * size
    damaged = tmp_path / "damaged.elf"
    damaged.write_bytes(content)
    with pytest.raises(LoadError, match="no intact ELF file"):
        read_image(damaged)


@pytest.mark.parametrize(("field", "value"), [(9, 12), (9, 0), (5, 1 << 30), (5, 24)])
def test_tables_that_cannot_be_whole_are_refused(
    firmware: Path, tmp_path: Path, field: int, value: int
) -> None:
    """`field`: of the section header, 5 is its size and 9 that of a record."""
    content = bytearray(firmware.read_bytes())
    with firmware.open("rb") as stream:
        elf = ELFFile(stream)
        (number,) = (n for n, each in enumerate(elf.iter_sections()) if isinstance(each, SymbolTableSection))
        header = elf["e_shoff"] + number * elf["e_shentsize"]
    struct.pack_into("<I", content, header + 4 * field, value)
    damaged = tmp_path / "damaged.elf"
    damaged.write_bytes(content)
    with pytest.raises(LoadError, match="no intact ELF file"):
        read_image(damaged)
