"""Why a Cortex-M does not answer: look at its registers and say it in one sentence."""

from __future__ import annotations

from typing import Any

from pyocd.core.exceptions import TransferFaultError

from harness.devices.base import Diagnosis
from harness.devices.elf import Image
from harness.devices.faults import (
    RECORD_BYTES,
    RECORD_SYMBOL,
    SRAM_BUDGET_SYMBOL,
    STACK_BOTTOM_SYMBOL,
    TRAP_SYMBOL,
    FaultContext,
    FaultRecord,
    explain,
    parse_record,
)
from harness.targets import Target

_CFSR, _HFSR, _MMFAR, _BFAR = 0xE000ED28, 0xE000ED2C, 0xE000ED34, 0xE000ED38
_FAULT_EXCEPTIONS = (3, 4, 5, 6, 12)
"""Exception numbers of HardFault, MemManage, BusFault, UsageFault and DebugMonitor, which a BKPT raises."""
_FRAME_BYTES = 32
_STACKING_ERRORS = 1 << 4 | 1 << 12
"""CFSR.MSTKERR and STKERR: the exception frame is not where the stack pointer says."""
_WAIT_INSTRUCTIONS = (0xBF30, 0xBF20)
"""WFI and WFE."""


def inspect_core(core: Any, target: Target, image: Image | None) -> Diagnosis:
    """Halt, look, and let a core that ran run on. `core` is pyOCD's CortexM; its errors pass through."""
    ran = core.is_running()
    if ran:
        core.halt()
    try:
        return _look(core, target, image, halted=not ran)
    finally:
        if ran:
            core.resume()


def _look(core: Any, target: Target, image: Image | None, *, halted: bool) -> Diagnosis:
    registers = {name: int(core.read_core_register(name)) for name in ("pc", "lr", "sp", "xpsr")}
    pc, exception = registers["pc"], registers["xpsr"] & 0x1FF
    # RAM survives a reset, and with it an old record: it counts only while an exception is active.
    trapped = image is not None and TRAP_SYMBOL in image.symbols and pc == image.symbols[TRAP_SYMBOL].address
    record = _record(core, image) if exception and not trapped else None
    if record is None and exception in _FAULT_EXCEPTIONS:
        record = _live_record(core, target, exception, stacked_at=registers["sp"] if trapped else None)
    if record is not None:
        sentence = explain(record, target, _context(core, image, record.pc))
        return Diagnosis("fault", sentence, registers | record.registers())
    if target.regions and not any(r.start <= pc < r.start + r.size for r in target.regions):
        sentence = f"the firmware left its program: it executes at {pc:#010x}, where it has no code"
        return Diagnosis("fault", sentence, registers)
    where = f"{pc:#010x}" + (f" in {name}" if (name := _function(image, pc)) else "")
    if halted:
        return Diagnosis("unknown", f"the core is halted by the debugger at {where}", registers)
    previous = int.from_bytes(_instruction(core, pc - 2), "little")
    if previous in _WAIT_INSTRUCTIONS:
        return Diagnosis("waiting", f"the firmware waits for an interrupt at {where}", registers)
    return Diagnosis("running", f"the firmware runs at {where}", registers)


def _record(core: Any, image: Image | None) -> FaultRecord | None:
    symbol = image.symbols.get(RECORD_SYMBOL) if image else None
    if symbol is None or symbol.size < RECORD_BYTES:
        return None
    return parse_record(bytes(core.read_memory_block8(symbol.address, RECORD_BYTES)))


def _live_record(core: Any, target: Target, exception: int, stacked_at: int | None) -> FaultRecord:
    """The fault status registers themselves, for a fault of which the firmware made no record yet.

    `stacked_at`: address of the exception frame; None: pc and lr are not known.
    """
    cfsr, hfsr, mmfar, bfar = (core.read32(address) for address in (_CFSR, _HFSR, _MMFAR, _BFAR))
    pc = lr = 0
    if stacked_at is not None and not cfsr & _STACKING_ERRORS and _in_ram(target, stacked_at):
        frame = bytes(core.read_memory_block8(stacked_at, _FRAME_BYTES))
        lr, pc = (int.from_bytes(frame[at : at + 4], "little") for at in (20, 24))
    return FaultRecord(cfsr, hfsr, mmfar, bfar, pc, lr, exception)


def _in_ram(target: Target, start: int) -> bool:
    """Whether an exception frame at `start` is where it can be."""
    ram = (r for r in target.regions if r.kind == "ram")
    return start % 4 == 0 and any(r.start <= start <= r.start + r.size - _FRAME_BYTES for r in ram)


def _context(core: Any, image: Image | None, pc: int) -> FaultContext:
    bottom = image.symbols.get(STACK_BOTTOM_SYMBOL) if image else None
    budget = image.symbols.get(SRAM_BUDGET_SYMBOL) if image else None
    return FaultContext(
        instruction=_instruction(core, pc) if pc else b"",
        function=_function(image, pc),
        stack_bottom=bottom.address if bottom else None,
        sram_budget=int(core.read32(budget.address)) if budget else None,
    )


def _instruction(core: Any, address: int) -> bytes:
    """The first two bytes of an instruction; none where there is no memory."""
    try:
        return bytes(core.read_memory_block8(address & ~1 & 0xFFFFFFFF, 2))
    except TransferFaultError:
        return b""


def _function(image: Image | None, address: int) -> str | None:
    return image.function_at(address) if image else None
