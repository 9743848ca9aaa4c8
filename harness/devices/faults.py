"""Cortex-M faults in words: CFSR, HFSR, MMFAR and BFAR decoded into one sentence.

Source: ARMv7-M Architecture Reference Manual, B3.2.15 (CFSR), B3.2.16 (HFSR); A5 for the instruction forms.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass

from harness.targets import Target

TRAP_SYMBOL = "trainbench_fault"
"""The firmware's handler of every fault."""
RECORD_SYMBOL = "trainbench_fault_record"
STACK_BOTTOM_SYMBOL = "__stack_bottom"
SRAM_BUDGET_SYMBOL = "trainbench_sram_budget"
"""A constant of firmware that enforces a budget: bytes of SRAM, uint32."""
RECORD_BYTES = 28
RECORD_MAGIC = 0xFA17FA17

_MMARVALID, _BFARVALID = 1 << 7, 1 << 15
_DEBUGEVT, _FORCED, _VECTTBL = 1 << 31, 1 << 30, 1 << 1
_DEBUG_MONITOR = 12
_SRAM = range(0x20000000, 0x40000000)
"""The architecture's SRAM region."""
_NULL_PAGE = 0x100
_STACK_OVERRUN = 0x10000
"""Bytes below the stack that a frame too large may reach."""

# Bit of CFSR → (kind of fault, what the firmware did). `{access}` is filled from the faulting instruction.
_CAUSES = {
    0: ("memory protection fault", "the firmware executed code in memory it may not execute"),
    1: ("memory protection fault", "the firmware {access}"),
    3: ("memory protection fault", "an exception return could not pop its frame from the stack"),
    4: ("stack overflow", "an exception frame could not be pushed: the stack runs into protected memory"),
    5: ("memory protection fault", "the floating-point registers could not be saved on the stack"),
    8: ("bus fault", "the firmware executed code where there is no memory"),
    9: ("bus fault", "the firmware {access}"),
    10: ("bus fault", "an earlier write went where there is no memory (imprecise)"),
    11: ("bus fault", "an exception return could not pop its frame from the stack"),
    12: ("stack overflow", "an exception frame could not be pushed: the stack lies outside memory"),
    13: ("bus fault", "the floating-point registers could not be saved on the stack"),
    16: ("usage fault", "the firmware executed an undefined instruction"),
    17: ("usage fault", "the firmware branched to an address without the Thumb bit"),
    18: ("usage fault", "an exception returned with a bad EXC_RETURN value"),
    19: ("usage fault", "the firmware used the floating-point unit while it is switched off"),
    20: ("stack overflow", "the stack pointer went below its limit"),
    24: ("usage fault", "the firmware made an unaligned access where that is not allowed"),
    25: ("usage fault", "the firmware divided by zero"),
}


@dataclass(frozen=True)
class FaultRecord:
    """What the fault handler left, or what the debugger read from the fault status registers."""

    cfsr: int
    hfsr: int
    mmfar: int
    bfar: int
    pc: int
    lr: int
    exception: int = 0
    """Number of the active exception; 0: not known."""

    @property
    def address(self) -> int | None:
        """The data address that faulted, if the core recorded one."""
        if self.cfsr & _MMARVALID:
            return self.mmfar
        return self.bfar if self.cfsr & _BFARVALID else None

    def registers(self) -> dict[str, int]:
        return asdict(self)


def parse_record(data: bytes) -> FaultRecord | None:
    """The firmware's `trainbench_fault_record`, 7 little-endian words; None before any fault."""
    magic, *words = struct.unpack("<7I", data[:RECORD_BYTES])
    return FaultRecord(*words) if magic == RECORD_MAGIC else None


@dataclass(frozen=True)
class FaultContext:
    """What else is known about the place of a fault: the instruction there and the firmware's symbols."""

    instruction: bytes = b""
    function: str | None = None
    stack_bottom: int | None = None
    sram_budget: int | None = None
    """Bytes of SRAM that the firmware allows itself; None: no budget is enforced."""


def explain(record: FaultRecord, target: Target, context: FaultContext) -> str:
    """One sentence: the kind of fault, what the firmware did, the address, and where it was."""
    kind, deed = _cause(record)
    access = f"{access_verb(context.instruction)} {_place(record.address, target, context)}"
    if record.pc == 0:
        return f"{kind}: {deed.format(access=access)} (pc not recorded)"
    where = f"pc {record.pc:#010x}" + (f" in {context.function}" if context.function else "")
    return f"{kind}: {deed.format(access=access)} ({where})"


def access_verb(instruction: bytes) -> str:
    """`wrote`, `read`, or `accessed` where the Thumb instruction's first 2 bytes do not tell."""
    if len(instruction) < 2:
        return "accessed"
    (half,) = struct.unpack("<H", instruction[:2])
    if half >> 9 in (0b1110100, 0b1110110, 0b1111100):  # load/store multiple and dual, coprocessor, single
        return "read" if half & 0x10 else "wrote"
    if half >> 12 == 0b0101:  # register offset: STR, STRH, STRB, then loads
        return "wrote" if (half >> 9 & 7) < 3 else "read"
    if half >> 12 in (0b0110, 0b0111, 0b1000, 0b1001, 0b1100):  # immediate offset, SP relative, multiple
        return "read" if half & 0x800 else "wrote"
    if half >> 11 == 0b01001 or half >> 9 == 0b1011110:  # literal load, POP
        return "read"
    return "wrote" if half >> 9 == 0b1011010 else "accessed"  # PUSH


def _cause(record: FaultRecord) -> tuple[str, str]:
    for bit, cause in _CAUSES.items():
        if record.cfsr >> bit & 1:
            return cause
    if record.exception == _DEBUG_MONITOR or record.hfsr & _DEBUGEVT:
        return "breakpoint", "the firmware executed a BKPT instruction"
    if record.hfsr & _VECTTBL:
        return "hard fault", "the vector table cannot be read"
    forced = " escalated from a fault that left no cause" if record.hfsr & _FORCED else ""
    return "hard fault", f"the core stopped{forced} (CFSR {record.cfsr:#x}, HFSR {record.hfsr:#x})"


def _place(address: int | None, target: Target, context: FaultContext) -> str:
    """The faulting address and what it lies outside of."""
    if address is None:
        return "an address the core did not record"
    bottom = context.stack_bottom
    if bottom is not None and bottom - _STACK_OVERRUN <= address < bottom:
        return f"{address:#010x}, just below its stack, which has overflowed"
    if address < _NULL_PAGE:
        return f"{address:#010x}, through a null pointer"
    if address in _SRAM and context.sram_budget is not None:
        return f"{address:#010x}, outside its {context.sram_budget / 1024:g} KB budget"
    region = next((r for r in target.regions if r.start <= address < r.start + r.size), None)
    if region is not None:
        return f"{address:#010x}, which is in {region.name} but not allowed"
    return f"{address:#010x}, outside the memory of {target.name}"
