import pytest

from harness.devices.gdbrsp.features import Register, read_registers

DOCUMENTS = {
    "target.xml": '<target><xi:include href="core.xml"/><xi:include href="fpu.xml"/></target>',
    "core.xml": '<feature><reg name="r0" bitsize="32"/><reg name="xpsr" bitsize="32" regnum="25"/></feature>',
    "fpu.xml": '<feature><reg name="d0" bitsize="64" type="float"/></feature>',
}


def test_numbers_count_up_across_documents_and_follow_regnum() -> None:
    assert read_registers(DOCUMENTS.__getitem__) == {
        "r0": Register(0, 4),
        "xpsr": Register(25, 4),
        "d0": Register(26, 8),
    }


def test_documents_that_include_themselves_end() -> None:
    assert read_registers(lambda name: '<xi:include href="target.xml"/><reg name="a" bitsize="32"/>')


@pytest.mark.parametrize("text", ['<reg name="a"/>', '<reg name="a" bitsize="x"/>', "<xi:include/>"])
def test_nonsense_raises(text: str) -> None:
    with pytest.raises((KeyError, ValueError)):
        read_registers(lambda name: text)
