"""Clocks of the boards, on a model of their registers: what is set up, in which order, and the rates in Hz."""

from collections.abc import Callable
from pathlib import Path

import pytest
from board_code import BOARDS, ClockCode, Header, compile_clock, read_header
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.devices.clocks import CLOCK_TREES, Rates
from harness.targets import BoardPart, load_target

# Field that asks → field that answers, with the same value.
ANSWERS = {
    "RCC_CR_HSEON": "RCC_CR_HSERDY",
    "RCC_CR_HSION": "RCC_CR_HSIRDY",
    "RCC_CR_PLLON": "RCC_CR_PLLRDY",
    "RCC_CR_PLL1ON": "RCC_CR_PLL1RDY",
    "RCC_CFGR_SW": "RCC_CFGR_SWS",
    "PWR_CR1_ODEN": "PWR_CSR1_ODRDY",
    "PWR_CR1_ODSWEN": "PWR_CSR1_ODSWRDY",
    "PWR_CR_ODEN": "PWR_CSR_ODRDY",
    "PWR_CR_ODSWEN": "PWR_CSR_ODSWRDY",
}
ALWAYS = ("PWR_CSR1_VOSRDY", "PWR_CSR_VOSRDY", "PWR_D3CR_VOSRDY", "PWR_CSR1_ACTVOSRDY")
AFTER_RESET = {
    "stm32f7": {"RCC_CR": 0x83, "RCC_PLLCFGR": 0x24003010, "PWR_CR1": 0xC000},
    "stm32f4": {"RCC_CR": 0x83, "RCC_PLLCFGR": 0x24003010, "PWR_CR": 0xC000},
    "stm32h7": {
        "RCC_CR": 0x83,
        "RCC_PLLCKSELR": 0x02020200,
        "RCC_PLLCFGR": 0x01FF0000,
        "RCC_PLL1DIVR": 0x01010280,
        "PWR_CR3": 0x06,
        "PWR_D3CR": 0x4000,
        "FLASH_ACR": 0x37,
    },
    "stm32l4": {"RCC_CR": 0x63, "RCC_PLLCFGR": 0x1000, "PWR_CR1": 0x200, "PWR_CR5": 0x100},
}
EXPECTED = {
    "stm32f746g-disco": Rates(216_000_000, 108_000_000),
    "nucleo-h743zi2": Rates(480_000_000, 120_000_000),
    "nucleo-f446re": Rates(180_000_000, 45_000_000),
    "nucleo-l4r5zi": Rates(120_000_000, 120_000_000),
}
REVISION_V, REVISION_Y = 0x20036450, 0x10036450


class Part:
    """Registers that answer as silicon does, and a journal of what was written to fields, in order."""

    def __init__(self, header: Header, after_reset: dict[str, int], silent: str = "") -> None:
        self._header = header
        self._names = {address: name for name, address in header.registers.items()}
        self.values = {address: after_reset.get(name, 0) for name, address in header.registers.items()}
        self.journal: list[tuple[str, int]] = []
        self._silent = silent
        for field in ALWAYS:
            if field in header.fields:
                self._put(field, 1)

    def read(self, address: int) -> int:
        return self.values[address]

    def write(self, address: int, value: int) -> None:
        before, self.values[address] = self.values[address], value
        for name, (register, bit, bits) in self._header.fields.items():
            mask = (1 << bits) - 1
            if self._header.registers[register] != address or (before ^ value) >> bit & mask == 0:
                continue
            self.journal.append((name, value >> bit & mask))
            answer = ANSWERS.get(name)
            if answer is not None and answer != self._silent:
                self._put(answer, value >> bit & mask)

    def get(self, field: str) -> int:
        register, bit, bits = self._header.fields[field]
        return self.values[self._header.registers[register]] >> bit & ((1 << bits) - 1)

    def named(self) -> dict[str, int]:
        return {name: self.values[address] for address, name in self._names.items()}

    def _put(self, field: str, value: int) -> None:
        register, bit, bits = self._header.fields[field]
        address = self._header.registers[register]
        self.values[address] = self.values[address] & ~(((1 << bits) - 1) << bit) | value << bit


def board_of(name: str) -> BoardPart:
    board = load_target(name).board
    assert board is not None
    return board


Code = Callable[[str], ClockCode]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Code:
    built: dict[str, ClockCode] = {}

    def of(name: str) -> ClockCode:
        if name not in built:
            built[name] = compile_clock(name, Path(tmp_path_factory.mktemp("clock")))
        return built[name]

    return of


def start(code: Code, name: str, revision: int = REVISION_V, silent: str = "") -> tuple[Part, bool]:
    family = board_of(name).family
    part = Part(read_header(family), AFTER_RESET[family] | {"DBGMCU_IDC": revision}, silent)
    return part, code(name).start(part.read, part.write, also="part_enable_link")


@pytest.mark.parametrize("name", BOARDS)
def test_the_part_ends_at_its_full_rate(code: Code, name: str) -> None:
    board, (part, came_up) = board_of(name), start(code, name)
    assert came_up
    found = CLOCK_TREES[board.family].rates(part.named(), board.hse_hz)
    assert found == EXPECTED[name]
    assert found.core == board.clock_hz[0]


@pytest.mark.parametrize("name", BOARDS)
def test_the_core_is_switched_when_everything_is_ready_for_the_rate(code: Code, name: str) -> None:
    part, _ = start(code, name)
    order = [field for field, _ in part.journal]
    switch = order.index("RCC_CFGR_SW")
    pll = next(order.index(field) for field in ("RCC_CR_PLLON", "RCC_CR_PLL1ON") if field in order)
    settings = [at for at, field in enumerate(order) if field.startswith(("RCC_PLLC", "RCC_PLL1"))]
    assert max(settings) < pll < switch
    assert order.index("FLASH_ACR_LATENCY") < switch
    for field in order:
        if field.startswith(("PWR_CR1", "PWR_CR_", "PWR_CR5", "PWR_D3CR", "SYSCFG")):
            assert order.index(field) < switch, field
        # Prescalers of the buses: before the switch, so that none runs too fast even for a moment.
        if "PPRE" in field:
            assert order.index(field) < switch, field


def test_flash_waits_as_long_as_the_manuals_say(code: Code) -> None:
    waits = {name: start(code, name)[0].get("FLASH_ACR_LATENCY") for name in BOARDS}
    assert waits == {"stm32f746g-disco": 7, "nucleo-h743zi2": 4, "nucleo-f446re": 5, "nucleo-l4r5zi": 5}


@pytest.mark.parametrize("name", ["stm32f746g-disco", "nucleo-f446re"])
def test_overdrive_is_on(code: Code, name: str) -> None:
    part, _ = start(code, name)
    written = dict(part.journal)
    assert [value for field, value in written.items() if field.endswith(("ODEN", "ODSWEN"))] == [1, 1]


def test_l4_boosts_and_steps_over_80_mhz_by_way_of_60(code: Code) -> None:
    part, _ = start(code, "nucleo-l4r5zi")
    assert part.get("PWR_CR5_R1MODE") == 0
    steps = [(field, value) for field, value in part.journal if field in ("RCC_CFGR_HPRE", "RCC_CFGR_SW")]
    assert steps == [("RCC_CFGR_HPRE", 8), ("RCC_CFGR_SW", 3), ("RCC_CFGR_HPRE", 0)]
    assert part.get("PWR_CR2_IOSV") == 1


def test_h743_before_revision_x_runs_at_400_mhz_with_its_erratum_seen_to(code: Code) -> None:
    board = board_of("nucleo-h743zi2")
    old, came_up = start(code, "nucleo-h743zi2", REVISION_Y)
    assert came_up
    assert CLOCK_TREES["stm32h7"].rates(old.named(), board.hse_hz) == Rates(400_000_000, 100_000_000)
    assert board.clock_hz == (480_000_000, 400_000_000)
    assert (old.get("SYSCFG_PWRCR_ODEN"), old.get("AXI_TARG7_FN_MOD_READ_ISS_OVERRIDE")) == (0, 1)
    assert old.get("FLASH_ACR_LATENCY") == 2
    new, _ = start(code, "nucleo-h743zi2")
    assert (new.get("SYSCFG_PWRCR_ODEN"), new.get("AXI_TARG7_FN_MOD_READ_ISS_OVERRIDE")) == (1, 0)


@pytest.mark.parametrize(
    ("name", "silent"),
    [
        ("stm32f746g-disco", "RCC_CR_HSERDY"),
        ("stm32f746g-disco", "PWR_CSR1_ODSWRDY"),
        ("nucleo-f446re", "RCC_CFGR_SWS"),
        ("nucleo-l4r5zi", "RCC_CR_PLLRDY"),
    ],
)
def test_what_does_not_answer_is_noticed(code: Code, name: str, silent: str) -> None:
    part, came_up = start(code, name, silent=silent)
    if silent == "RCC_CR_PLLRDY":
        assert part.get("RCC_CR_PLLON") == 1
    assert not came_up


@pytest.mark.parametrize("name", BOARDS)
def test_both_sides_read_the_same_registers(code: Code, name: str) -> None:
    tree = CLOCK_TREES[board_of(name).family]
    assert code(name).registers == list(tree.registers.values())
    addresses = read_header(board_of(name).family).registers
    assert all(addresses[register] == address for register, address in tree.registers.items())


@pytest.mark.parametrize("name", BOARDS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_both_sides_compute_the_same_rates_from_any_registers(
    code: Code, name: str, data: st.DataObject
) -> None:
    tree = CLOCK_TREES[board_of(name).family]
    values = {register: data.draw(st.integers(0, 2**32 - 1), register) for register in tree.registers}
    external = data.draw(st.sampled_from((4_000_000, 8_000_000, 25_000_000, 48_000_000)))
    expected = tree.rates(values, external)
    if max(expected.core, expected.usart) < 2**32:
        assert code(name).rates(list(values.values()), external) == (expected.core, expected.usart)
