"""What the clock registers of an STM32 come to, in Hz: computed here, from values that the probe reads.

The firmware computes the same from what it set up (`targets/common/stm32/clock_*.c`); neither trusts the
other. Sources: RM0385 (F7), RM0390 (F446), RM0433 (H743), RM0432 (L4R5), chapters on RCC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Values = Mapping[str, int]
"""Register values by name."""

_HSI = 16_000_000
_H7_HSI = 64_000_000
_CSI = 4_000_000
_MSI = (
    *(100_000, 200_000, 400_000, 800_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000),
    *(16_000_000, 24_000_000, 32_000_000, 48_000_000, 0, 0, 0, 0),
)
_MSI_AFTER_RESET = 4_000_000
_FRACTIONS = 8192


@dataclass(frozen=True)
class Rates:
    """In Hz; 0: the registers say something the firmware never writes."""

    core: int
    usart: int
    """Kernel clock of the link's USART."""


@dataclass(frozen=True)
class ClockTree:
    """Addresses of a family's clock registers by name, in the order of the firmware's record."""

    registers: Mapping[str, int]
    rates: Callable[[Values, int], Rates]
    """From values, and Hz of the external clock."""


def bits(value: int, low: int, count: int) -> int:
    """`count` bits of `value` from bit `low` on."""
    return value >> low & ((1 << count) - 1)


def ahb_divisor(field: int) -> int:
    """HPRE, D1CPRE: 4 bits."""
    return 1 if field < 8 else (2, 4, 8, 16, 64, 128, 256, 512)[field - 8]


def apb_divisor(field: int) -> int:
    """PPRE1, PPRE2: 3 bits."""
    return 1 if field < 4 else (2, 4, 8, 16)[field - 4]


def _f_system(values: Values, external: int) -> int:
    pll, switch = values["RCC_PLLCFGR"], bits(values["RCC_CFGR"], 2, 2)
    source = external if bits(pll, 22, 1) else _HSI
    divisor = bits(pll, 0, 6) * 2 * (bits(pll, 16, 2) + 1)
    return (_HSI, external, source * bits(pll, 6, 9) // divisor if divisor else 0, 0)[switch]


def _f7_rates(values: Values, external: int) -> Rates:
    configuration = values["RCC_CFGR"]
    core = _f_system(values, external) // ahb_divisor(bits(configuration, 4, 4))
    from_bus = bits(values["RCC_DCKCFGR2"], 0, 2) == 0
    return Rates(core, core // apb_divisor(bits(configuration, 13, 3)) if from_bus else 0)


def _f4_rates(values: Values, external: int) -> Rates:
    configuration = values["RCC_CFGR"]
    core = _f_system(values, external) // ahb_divisor(bits(configuration, 4, 4))
    return Rates(core, core // apb_divisor(bits(configuration, 10, 3)))


def _h7_pll(values: Values, external: int) -> int:
    selection, configuration = values["RCC_PLLCKSELR"], values["RCC_PLLCFGR"]
    dividers = values["RCC_PLL1DIVR"]
    internal = _H7_HSI >> bits(values["RCC_CR"], 3, 2)
    source = (internal, _CSI, external, 0)[bits(selection, 0, 2)]
    fraction = bits(values["RCC_PLL1FRACR"], 3, 13) if bits(configuration, 0, 1) else 0
    divisor = bits(selection, 4, 6) * _FRACTIONS * (bits(dividers, 9, 7) + 1)
    return source * ((bits(dividers, 0, 9) + 1) * _FRACTIONS + fraction) // divisor if divisor else 0


def _h7_rates(values: Values, external: int) -> Rates:
    internal = _H7_HSI >> bits(values["RCC_CR"], 3, 2)
    systems = (internal, _CSI, external, _h7_pll(values, external), 0, 0, 0, 0)
    first = values["RCC_D1CFGR"]
    core = systems[bits(values["RCC_CFGR"], 3, 3)] // ahb_divisor(bits(first, 8, 4))
    bus = core // ahb_divisor(bits(first, 0, 4))
    from_bus = bits(values["RCC_D2CCIP2R"], 0, 3) == 0
    return Rates(core, bus // apb_divisor(bits(values["RCC_D2CFGR"], 4, 3)) if from_bus else 0)


def _l4_rates(values: Values, external: int) -> Rates:
    control, pll = values["RCC_CR"], values["RCC_PLLCFGR"]
    internal = _MSI[bits(control, 4, 4)] if bits(control, 3, 1) else _MSI_AFTER_RESET
    source = (0, internal, _HSI, external)[bits(pll, 0, 2)]
    multiplied = source * bits(pll, 8, 7) // ((bits(pll, 4, 4) + 1) * 2 * (bits(pll, 25, 2) + 1))
    configuration = values["RCC_CFGR"]
    system = (internal, _HSI, external, multiplied)[bits(configuration, 2, 2)]
    core = system // ahb_divisor(bits(configuration, 4, 4))
    from_bus = bits(values["RCC_CCIPR"], 10, 2) == 0
    return Rates(core, core // apb_divisor(bits(configuration, 8, 3)) if from_bus else 0)


CLOCK_TREES: Mapping[str, ClockTree] = {
    "stm32f4": ClockTree(
        {"RCC_PLLCFGR": 0x40023804, "RCC_CFGR": 0x40023808, "FLASH_ACR": 0x40023C00}, _f4_rates
    ),
    "stm32f7": ClockTree(
        {
            "RCC_PLLCFGR": 0x40023804,
            "RCC_CFGR": 0x40023808,
            "FLASH_ACR": 0x40023C00,
            "RCC_DCKCFGR2": 0x40023890,
        },
        _f7_rates,
    ),
    "stm32h7": ClockTree(
        {
            "RCC_CR": 0x58024400,
            "RCC_PLLCKSELR": 0x58024428,
            "RCC_PLLCFGR": 0x5802442C,
            "RCC_PLL1DIVR": 0x58024430,
            "RCC_PLL1FRACR": 0x58024434,
            "RCC_CFGR": 0x58024410,
            "RCC_D1CFGR": 0x58024418,
            "RCC_D2CFGR": 0x5802441C,
            "FLASH_ACR": 0x52002000,
            "RCC_D2CCIP2R": 0x58024454,
        },
        _h7_rates,
    ),
    "stm32l4": ClockTree(
        {
            "RCC_CR": 0x40021000,
            "RCC_PLLCFGR": 0x4002100C,
            "RCC_CFGR": 0x40021008,
            "FLASH_ACR": 0x40022000,
            "RCC_CCIPR": 0x40021088,
        },
        _l4_rates,
    ),
}
"""By `BoardPart.family`."""
