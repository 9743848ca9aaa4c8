"""The core's debug registers as pyOCD drives them: halt, step, resume, reset, and register transfer.

Bits: ARMv7-M Architecture Reference Manual, C1.6 (DHCSR, DCRSR, DCRDR, DEMCR), B3.2 (AIRCR), C1.6.1 (DFSR).
"""

from __future__ import annotations

from harness.devices.gdbrsp.access import TargetAccess
from harness.devices.gdbrsp.dialect import SIGINT
from harness.devices.gdbrsp.units import BreakpointUnit, RegisterFile

AIRCR, DFSR, DHCSR, DCRSR, DCRDR, DEMCR = (
    0xE000ED0C,
    0xE000ED30,
    0xE000EDF0,
    0xE000EDF4,
    0xE000EDF8,
    0xE000EDFC,
)
_CACHE_MAINTENANCE = range(0xE000EF50, 0xE000EF7C, 4)
_C_DEBUGEN, _C_HALT, _C_STEP, _C_MASKINTS = 1, 2, 4, 8
_S_REGRDY, _S_HALT, _S_RETIRE, _S_RESET = 1 << 16, 1 << 17, 1 << 24, 1 << 25
_HALTED, _BKPT, _DWTTRAP, _VCATCH = 1, 2, 4, 8
_TRCENA, _VC_CORERESET = 1 << 24, 1
_WRITE_REGISTER = 1 << 16
_NAMES = {**{n: f"r{n}" for n in range(13)}, 13: "sp", 14: "lr", 15: "pc", 16: "xpsr"} | {
    **{17: "msp", 18: "psp", 33: "fpscr"},
    # ARMv8-M: the registers of each security state by a number of their own.
    **{24: "msp_ns", 25: "psp_ns", 26: "msp", 27: "psp"},
    **{28: "msplim", 29: "psplim", 30: "msplim_ns", 31: "psplim_ns"},
}
_MASKS = ("primask", "basepri", "faultmask", "control")
_COMBINED = {20: _MASKS, 34: _MASKS, 35: tuple(f"{name}_ns" for name in _MASKS)}
"""Four registers of a byte each in one word."""


class VirtualCore:
    """DHCSR and its neighbours, on top of a GDB connection."""

    def __init__(self, access: TargetAccess, file: RegisterFile, breakpoints: BreakpointUnit) -> None:
        self._access = access
        self._client = access.client
        self._breakpoints = breakpoints
        self._control = 0
        self._faults = 0
        self._monitor = 0
        self._transfer = 0
        self._ready = True
        self._was_reset = False
        self._ran = False
        self._seen_running = self._client.running
        self._faults_at_last_stop = 0
        file.add(DHCSR, self._read_status, self._write_control)
        file.add(DFSR, self._read_faults, self._clear_faults)
        file.add(DCRDR, lambda: self._transfer, self._set_transfer)
        file.add(DEMCR, lambda: self._monitor, self._write_monitor)
        file.writers[DCRSR] = self._select_register
        file.writers[AIRCR] = self._write_aircr
        for address in _CACHE_MAINTENANCE:
            file.writers[address] = lambda value: None

    # Halting

    def _read_status(self) -> int:
        running = self._observe()
        status = self._control & (_C_DEBUGEN | _C_MASKINTS) | (0 if running else _C_HALT | _S_HALT)
        status |= _S_REGRDY if self._ready else 0
        status |= _S_RETIRE if self._ran or running else 0
        status |= _S_RESET if self._was_reset else 0
        self._ran = self._was_reset = False
        return status

    def _write_control(self, value: int) -> None:
        if value >> 16 != 0xA05F:
            return
        self._control = value & 0xFFFF
        running = self._observe()
        if value & _C_DEBUGEN and value & _C_HALT:
            if running:
                self._client.interrupt()
                self._observe()
        elif not running and value & _C_DEBUGEN and value & _C_STEP:
            self._client.step()
            self._ran = True
            self._faults |= _HALTED | self._stop_cause() & _DWTTRAP
        elif not running:
            self._run()

    def _run(self) -> None:
        """Resume; a breakpoint that has just been hit and would be hit again is stepped over."""
        repeats = self._client.dialect.repeats_breakpoint
        if repeats and self._faults_at_last_stop & _BKPT and self._at_breakpoint():
            self._client.step()
            self._ran = True
            self._faults_at_last_stop = self._stop_cause()
            if self._faults_at_last_stop & (_DWTTRAP | _BKPT):
                self._faults |= self._faults_at_last_stop
                return
        self._client.resume()
        self._seen_running = True

    def _observe(self) -> bool:
        """Whether the target runs; records why, when it has stopped since the last look."""
        running = self._client.poll()
        if self._seen_running and not running:
            self._ran = True
            self._faults_at_last_stop = self._stop_cause()
            self._faults |= self._faults_at_last_stop
        self._seen_running = running
        return running

    def _stop_cause(self) -> int:
        """DFSR bits of the client's last stop."""
        stop = self._client.stop
        if stop.signal == SIGINT:
            return _HALTED
        if stop.watch_address is not None:
            return _DWTTRAP
        return _BKPT if self._at_breakpoint() else _HALTED

    def _at_breakpoint(self) -> bool:
        pc = self._access.read_register("pc")
        return pc is not None and self._breakpoints.covers(pc)

    def _read_faults(self) -> int:
        self._observe()
        return self._faults

    def _clear_faults(self, value: int) -> None:
        self._observe()
        self._faults &= ~value

    # Reset

    def _write_monitor(self, value: int) -> None:
        self._monitor = value & (_TRCENA | _VC_CORERESET)

    def _write_aircr(self, value: int) -> None:
        if value >> 16 != 0x5FA or not value & 0b101:
            return
        catch = bool(self._monitor & _VC_CORERESET)
        running = self._observe()
        if running:
            self._client.interrupt()
        self._client.reset()
        self._was_reset = True
        self._faults_at_last_stop = 0
        self._faults = _VCATCH | _HALTED if catch else 0
        self._seen_running = False
        if not catch:
            self._client.resume()
            self._seen_running = True

    # Core registers

    def _set_transfer(self, value: int) -> None:
        self._transfer = value

    def _select_register(self, value: int) -> None:
        number = value & 0x7F
        if value & _WRITE_REGISTER:
            self._ready = self._store(number, self._transfer)
        else:
            found = self._fetch(number)
            self._ready = found is not None
            self._transfer = found or 0

    def _fetch(self, number: int) -> int | None:
        if 64 <= number < 96:
            double = self._access.read_register(f"d{(number - 64) // 2}")
            return None if double is None else double >> 32 * (number & 1) & 0xFFFFFFFF
        if number in _COMBINED:
            parts = [self._access.read_register(name) for name in _COMBINED[number]]
            return (
                None
                if None in parts
                else int.from_bytes(bytes(p & 0xFF for p in parts if p is not None), "little")
            )
        return self._access.read_register(_NAMES[number]) if number in _NAMES else None

    def _store(self, number: int, value: int) -> bool:
        if 64 <= number < 96:
            name, shift = f"d{(number - 64) // 2}", 32 * (number & 1)
            double = self._access.read_register(name)
            if double is None:
                return False
            return self._access.write_register(name, double & ~(0xFFFFFFFF << shift) | value << shift)
        if number in _COMBINED:
            return all(
                self._access.write_register(name, value >> 8 * index & 0xFF)
                for index, name in enumerate(_COMBINED[number])
            )
        return number in _NAMES and self._access.write_register(_NAMES[number], value)
