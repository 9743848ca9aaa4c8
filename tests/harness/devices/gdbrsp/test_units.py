import pytest
from pyocd.coresight.cortex_m import CortexM
from pyocd.coresight.cortex_m_v8m import CortexM_v8M
from pyocd.coresight.rom_table import CoreSightComponentID

from harness.devices.gdbrsp.units import DWT, FPB, ROM, SCS, identification

CPUIDS = {"m3": 0x412FC230, "m4": 0x410FC241, "m7": 0x411FC272, "m33": 0x410FD213, "m55": 0x411FD221}


class Words:
    def __init__(self, words: dict[int, int]) -> None:
        self._words = words

    def read_memory_block32(self, address: int, count: int) -> list[int]:
        return [self._words[address + 4 * index] for index in range(count)]


def component(core: str, base: int) -> CoreSightComponentID:
    found = CoreSightComponentID(None, Words(identification(CPUIDS[core])), base)
    found.read_id_registers()
    return found


@pytest.mark.parametrize("core", CPUIDS)
def test_pyocd_recognises_the_rom_table_and_finds_three_components(core: str) -> None:
    assert component(core, ROM).is_rom_table
    words = identification(CPUIDS[core])
    bases = {(ROM + (words[ROM + 4 * n] & ~0xFFF)) & 0xFFFFFFFF for n in range(3)}
    assert bases == {SCS, DWT, FPB}
    assert words[ROM + 12] == 0


@pytest.mark.parametrize("core", CPUIDS)
def test_pyocd_has_a_driver_for_each_component(core: str) -> None:
    expected = CortexM_v8M.factory if core in ("m33", "m55") else CortexM.factory
    assert component(core, SCS).factory == expected
    assert all(component(core, base).factory is not None for base in (DWT, FPB))
