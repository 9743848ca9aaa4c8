"""Clocks of the boards, on a model of their registers: what is set up, in which order, and the rates."""

from collections.abc import Callable
from pathlib import Path

import pytest
from board_code import BOARDS, ClockCode, compile_clock, read_header
from board_model import AFTER_RESET, EXPECTED, REVISION_V, REVISION_Y, Part
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.devices.clocks import CLOCK_TREES, Rates
from harness.targets import BoardPart, load_target


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
