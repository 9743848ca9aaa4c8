"""An STM32F746 as the platform file describes it: a Cortex-M7 of the Unicorn library, and around it what the
firmware touches. Interrupts are taken only out of WFI, which is where the firmware enables them."""

import re
import struct

from mpu import MemoryProtection
from unicorn import (
    UC_ARCH_ARM,
    UC_ERR_INSN_INVALID,
    UC_HOOK_CODE,
    UC_HOOK_INTR,
    UC_HOOK_MEM_FETCH_PROT,
    UC_HOOK_MEM_FETCH_UNMAPPED,
    UC_HOOK_MEM_READ_PROT,
    UC_HOOK_MEM_READ_UNMAPPED,
    UC_HOOK_MEM_WRITE,
    UC_HOOK_MEM_WRITE_PROT,
    UC_HOOK_MEM_WRITE_UNMAPPED,
    UC_MODE_MCLASS,
    UC_MODE_THUMB,
    Uc,
    UcError,
    arm_const,
)
from usart import Usart

SLICE = 50_000
"""Instructions between two looks at the sockets. A run that a timer ends leaves wrong registers at times."""
WFI = b"\x30\xbf"
REGISTERS = {
    **{f"r{n}": getattr(arm_const, f"UC_ARM_REG_R{n}") for n in range(13)},
    **{f"d{n}": getattr(arm_const, f"UC_ARM_REG_D{n}") for n in range(16)},
    **{
        name: getattr(arm_const, f"UC_ARM_REG_{name.upper()}")
        for name in ("sp", "lr", "pc", "xpsr", "control", "basepri", "primask", "faultmask", "fpscr", "ipsr")
    },
    "inactive": arm_const.UC_ARM_REG_PSP,
}
USART1_IRQ = 37
SYSTEM, RAM = 0xE0000000, 0x20000000
CPUID, MPU_TYPE, CFSR, MMFAR = 0xE000ED00, 0xE000ED90, 0xE000ED28, 0xE000ED34
CYCCNT, SYST_CVR, SYST_RVR = 0xE0001004, 0xE000E018, 0xE000E014
ISER1, ICER1 = 0xE000E104, 0xE000E184
AFTER_RESET = {CPUID: 0x411FC271, MPU_TYPE: 8 << 8}
DACCVIOL_AT_MMFAR, IACCVIOL = 0x82, 0x01


class Machine:
    def __init__(self, journal):
        self._journal = journal
        self.memories = {}
        self.breakpoints, self.watchpoints = {}, {}
        self.vtor = 0
        self.paused, self.running, self.single_step, self._asleep = True, False, False, False
        self.usart = Usart(self._wake)
        self._hooks = []
        self._cycles = 0

    # What the monitor does

    def build(self, platform):
        """Memories of the platform file, by name: (start, bytes)."""
        text = platform.read_text()
        for block in re.split(r"\n(?=\w+:)", text):
            if match := re.match(r"(\w+): Memory\.MappedMemory @ (?:\{\s*)?sysbus (0x\w+)", block):
                size = int(re.search(r"size: (0x\w+)", block)[1], 16)
                self.memories[match[1]] = (int(match[2], 16), size)
        self._uc = uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M7)
        for start, size in self.memories.values():
            uc.mem_map(start, size)
        for page in (0x40020000, 0x40021000, 0x40022000, 0x40023000, 0x40007000):
            uc.mem_map(page, 0x1000)  # GPIO, RCC, FLASH and PWR: storage is enough for this firmware
        uc.mmio_map(
            0x40011000,
            0x1000,
            lambda uc, at, size, _: self.usart.read(at),
            None,
            lambda uc, at, size, value, _: self.usart.write(at, value),
            None,
        )
        self._system = dict(AFTER_RESET)
        uc.mmio_map(0xE0000000, 0x1000, lambda *_: 0, None, lambda *_: None, None)
        for page in (0xE0001000, 0xE000E000):
            uc.mmio_map(page, 0x1000, self._read_system, page, self._write_system, page)
        self._mpu = MemoryProtection(uc, self.memories.values())
        uc.hook_add(UC_HOOK_INTR, self._exception)
        uc.hook_add(UC_HOOK_MEM_READ_UNMAPPED | UC_HOOK_MEM_WRITE_UNMAPPED, self._unmapped)
        uc.hook_add(UC_HOOK_MEM_READ_PROT | UC_HOOK_MEM_WRITE_PROT | UC_HOOK_MEM_FETCH_PROT, self._forbidden)
        uc.hook_add(UC_HOOK_MEM_FETCH_UNMAPPED, self._lost)

    def pause(self):
        self.paused = True
        self.running = False
        return "Pausing emulation...\n"

    def reset(self):
        self._system = dict(AFTER_RESET)
        self._mpu.disable()
        self.usart.reset()
        self._asleep = False
        self.vtor = 0
        if not self.paused:
            self.running = True
            self._journal("machine Reset of a machine that is not paused resumes at once")

    def start(self, elsewhere):
        sp, handler = struct.unpack("<II", self.read(self.vtor, 8))
        if self.peek(handler & ~1, 2) is None or not handler & 1:
            return False
        for name in ("control", "primask", "ipsr"):
            self.set(name, 0)
        self.set("sp", sp)
        self.set("lr", 0xFFFFFFFF)
        self.set("pc", (handler & ~1) + 4 * elsewhere)
        self.paused, self.running = False, not self.single_step
        self.single_step = False
        return True

    # What the GDB server does

    def read(self, address, length):
        return bytes(self._uc.mem_read(address, length))

    def write(self, address, data):
        self._uc.mem_write(address, data)
        if address < RAM:
            self._uc.ctl_flush_tb()  # it may be code that has run

    def peek(self, address, length):
        """None where nothing is mapped; the memory protection is not asked."""
        if address >= SYSTEM:
            return b"".join(
                struct.pack("<I", self._read_system(None, at & 0xFFF, 4, at & ~0xFFF))
                for at in range(address, address + length, 4)
            )
        inside = any(start <= address and address + length <= start + size for start, size in self._spans())
        return self.read(address, length) if inside else None

    def poke(self, address, data):
        if self.peek(address, len(data)) is not None:
            self.write(address, data)

    def _spans(self):
        """Memories that follow each other are one to whoever reads across their border."""
        spans = []
        for start, size in sorted(self.memories.values()):
            if spans and sum(spans[-1]) == start:
                spans[-1] = (spans[-1][0], spans[-1][1] + size)
            else:
                spans.append((start, size))
        return spans

    def get(self, name):
        return self.vtor if name == "vtor" else self._uc.reg_read(REGISTERS[name])

    def set(self, name, value):
        if name == "vtor":
            self.vtor = value
        else:
            self._uc.reg_write(REGISTERS[name], value | 1 if name == "pc" else value)

    def points_changed(self):
        for hook in self._hooks:
            self._uc.hook_del(hook)
        add = self._uc.hook_add
        self._hooks = [add(UC_HOOK_CODE, self._hit, None, at, at) for at in self.breakpoints]
        self._hooks += [
            add(UC_HOOK_MEM_WRITE, self._watch, None, at, at + length - 1)
            for at, length in self.watchpoints.items()
        ]

    def resume(self):
        self.running = True
        self._passing = self.get("pc")  # a breakpoint here does not hit again

    def step(self):
        self._passing = self.get("pc")
        return self._run(1)

    @property
    def busy(self):
        return self.running and not self._asleep

    def run_slice(self):
        stop = self._run(SLICE)
        if stop:
            self.running = False
        return stop

    # The processor

    def _run(self, count):
        """Why the machine stopped, or None when it goes on: ("break" | "watch" | "lost", address)."""
        self._stop = self._fault = None
        pc = self.get("pc")
        try:
            self._uc.emu_start(pc | 1, 0xFFFFFFFE, count=count)
        except UcError as error:
            if error.errno == UC_ERR_INSN_INVALID:
                self._system[CFSR] = self._system.get(CFSR, 0) | 1 << 16
                self._fault = 6
            elif self._stop is None and self._fault is None:
                raise
        if self._fault is not None:
            self._enter(self._fault)
        elif self._stop is None and self.read(self.get("pc") - 2, 2) == WFI:
            self._asleep = True
            self._wake()
        return self._stop

    def _hit(self, uc, address, size, _):
        if address == self._passing:
            self._passing = None
            return
        self._stop = ("break", address)
        uc.emu_stop()

    def _watch(self, uc, access, address, size, value, _):
        self._stop = ("watch", address)
        uc.emu_stop()

    def _unmapped(self, uc, access, address, size, value, _):
        """Nowhere reads 0 and forgets, unless the memory protection forbids it."""
        if not self._mpu.allows(address):
            return self._forbidden(uc, access, address, size, value, _)
        uc.mem_map(address & ~0xFFF, 0x1000)
        return True

    def _forbidden(self, uc, access, address, size, value, _):
        self._fault = 4
        self._system[CFSR] = self._system.get(CFSR, 0) | DACCVIOL_AT_MMFAR
        self._system[MMFAR] = address
        uc.emu_stop()
        return False

    def _lost(self, uc, access, address, size, value, _):
        self._stop = ("lost", address)
        uc.emu_stop()
        return False

    def _exception(self, uc, number, _):
        """8: an exception returns; 7: a breakpoint instruction, which Renode takes as exception 12."""
        if number == 8:
            frame = self.get("sp")
            words = struct.unpack("<8I", self.read(frame, 32))
            self.set("ipsr", 0)
            self.set("sp", frame + 32 + (4 if words[7] & 1 << 9 else 0))
            for name, word in zip(("r0", "r1", "r2", "r3", "r12", "lr", "pc", "xpsr"), words, strict=True):
                self.set(name, word & ~(1 << 9) if name == "xpsr" else word)
        elif number == 7:
            self._fault = 12
            uc.emu_stop()
        else:
            raise AssertionError(f"exception {number} is not played")

    def _enter(self, exception):
        pc, xpsr, before = self.get("pc"), self.get("xpsr"), self.get("sp")
        frame = (before - 32) & ~7
        padded = 1 << 9 if before - 32 != frame else 0
        registers = [self.get(name) for name in ("r0", "r1", "r2", "r3", "r12", "lr")]
        try:
            self.write(frame, struct.pack("<8I", *registers, pc & ~1, xpsr & ~(1 << 9) | padded))
        except UcError:
            self._system[CFSR] |= 1 << 4
        self.set("sp", frame)
        self.set("lr", 0xFFFFFFF9)
        self.set("ipsr", exception)
        self.set("pc", struct.unpack("<I", self.read(self.vtor + 4 * exception, 4))[0] & ~1)

    def _wake(self):
        """Leave WFI when the USART asks for it; the handler runs before the instruction that unmasks it."""
        enabled = self._system.get(ISER1, 0) & 1 << USART1_IRQ - 32
        if not (self._asleep and enabled and self.usart.interrupting):
            return
        self._asleep = False
        self._enter(16 + USART1_IRQ)

    # System registers

    def _read_system(self, uc, offset, size, page):
        address = page + offset
        self._cycles += 1000
        if address == CYCCNT:
            return self._cycles & 0xFFFFFFFF
        if address == SYST_CVR:
            period = self._system.get(SYST_RVR, 0) + 1
            return (period - 1 - self._cycles % period) & 0xFFFFFF
        return self._system.get(address, 0)

    def _write_system(self, uc, offset, size, value, page):
        address = page + offset
        if address == CYCCNT:
            self._cycles = value
        elif address == ICER1:
            self._system[ISER1] = self._system.get(ISER1, 0) & ~value
        elif address == ISER1:
            self._system[ISER1] = self._system.get(ISER1, 0) | value
        else:
            self._system[address] = value
            self._mpu.write(address, value)
