"""Special registers that a GDB server does not offer, read by the core itself: `MRS r0, …` where it stands.

QEMU 7.2 has no MSP, PSP, CONTROL and masks in its target description, and pyOCD's GDB server shows none at
all where one is missing. The instruction takes the place of the one at PC and is stepped, then all is put
back. The core executes one instruction more for each register: nothing that counts instructions reads them.
Encoding and numbers: ARMv7-M Architecture Reference Manual, B5.2.2 (MRS), ARMv8-M, D1.2.183.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

NUMBERS = {
    **{"msp": 8, "psp": 9, "msplim": 10, "psplim": 11},
    **{"primask": 16, "basepri": 17, "faultmask": 19, "control": 20},
    **{"msp_ns": 0x88, "psp_ns": 0x89, "msplim_ns": 0x8A, "psplim_ns": 0x8B},
    **{"primask_ns": 0x90, "basepri_ns": 0x91, "faultmask_ns": 0x93, "control_ns": 0x94},
}
"""SYSm of each register."""
_UNPRIVILEGED = 1
"""CONTROL.nPRIV: MRS reads zero for everything but CONTROL."""
_IF_THEN = 0x0600FC00
"""xPSR: within an IT block the instruction might not be executed."""


class Core(Protocol):
    """What is needed of a stopped core. Reads and writes are the CPU's view of its code."""

    def read_register(self, name: str) -> int | None: ...

    def write_register(self, name: str, value: int) -> bool: ...

    def read_code(self, address: int, length: int) -> bytes: ...

    def write_code(self, address: int, data: bytes) -> None: ...


def read_special(core: Core, step: Callable[[], object], name: str) -> int | None:
    """Value of a special register, or None where the core cannot be asked for it now."""
    if name not in NUMBERS:
        return None
    if name != "control":
        control = read_special(core, step, "control")
        if control is None or control & _UNPRIVILEGED:
            return None
    pc, kept, status = (core.read_register(each) for each in ("pc", "r0", "xpsr"))
    if pc is None or kept is None or status is None or status & _IF_THEN:
        return None
    code = core.read_code(pc, 4)
    if len(code) != 4:
        return None
    try:
        core.write_code(pc, bytes((0xEF, 0xF3, NUMBERS[name], 0x80)))
        step()
        executed = core.read_register("pc") == pc + 4
        value = core.read_register("r0")
    finally:
        core.write_code(pc, code)
        core.write_register("r0", kept)
        core.write_register("pc", pc)
    return value if executed else None
