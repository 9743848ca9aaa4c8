"""The 8 regions of an Armv7-M memory protection unit, as page rights of the Unicorn library (so of 4 KB)."""

from unicorn import UC_PROT_ALL, UC_PROT_EXEC, UC_PROT_NONE, UC_PROT_READ

CTRL, RNR, RBAR, RASR = 0xE000ED94, 0xE000ED98, 0xE000ED9C, 0xE000EDA0
PAGE = 0x1000


class MemoryProtection:
    def __init__(self, uc, memories):
        self._uc = uc
        self._pages = [page for start, size in memories for page in range(start, start + size, PAGE)]
        self.disable()

    def disable(self):
        self._regions = [(0, 0)] * 8
        self._number = self._enabled = 0
        self._apply()

    def write(self, address, value):
        if address == RNR:
            self._number = value & 7
        elif address == RBAR:
            self._regions[self._number] = (value, self._regions[self._number][1])
        elif address == RASR:
            self._regions[self._number] = (self._regions[self._number][0], value)
        elif address == CTRL:
            self._enabled = value & 1
            self._apply()

    def allows(self, address):
        return self._rights(address) != UC_PROT_NONE

    def _apply(self):
        for page in self._pages:
            self._uc.mem_protect(page, PAGE, self._rights(page) if self._enabled else UC_PROT_ALL)

    def _rights(self, address):
        """Of the region with the highest number that has the address; the default map where there is none."""
        for base, attributes in reversed(self._regions):
            size = 1 << (attributes >> 1 & 31) + 1
            start = base & ~(size - 1)
            if not (self._enabled and attributes & 1 and start <= address < start + size):
                continue
            if attributes >> 8 & 0xFF and attributes >> 8 & 1 << (address - start) * 8 // size:
                continue
            return {0: UC_PROT_NONE, 3: UC_PROT_ALL, 6: UC_PROT_READ | UC_PROT_EXEC}[attributes >> 24 & 7]
        return UC_PROT_ALL
