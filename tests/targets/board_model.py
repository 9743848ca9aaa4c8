"""Clock registers of the parts, as far as firmware that starts them can tell."""

from board_code import Header

from harness.devices.clocks import Rates

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
