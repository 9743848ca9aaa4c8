"""Targets: one folder each under `targets/`, described by its `target.toml`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field

from harness.declaration import Strict, read_declaration
from harness.errors import TargetError, UsageError

TARGETS_ROOT = Path(__file__).resolve().parent.parent / "targets"


class TickUnit(StrEnum):
    """What the target's tick source counts. Emulators count instructions, never cycles."""

    INSTRUCTIONS = "instructions"
    CYCLES = "cycles"
    NANOSECONDS = "nanoseconds"


class Region(Strict):
    """A memory region as linked. Addresses and sizes in bytes."""

    name: str
    start: int
    size: int = Field(gt=0)
    kind: Literal["flash", "ram"]


class Toolchain(Strict):
    """Compilers that can build for this target; the first is the default."""

    compilers: tuple[str, ...] = Field(min_length=1)
    flags: tuple[str, ...] = ()
    """For compiling and linking."""
    link_flags: tuple[str, ...] = ()
    optimization: str = "-O2"


class FirmwareParts(Strict):
    """What a firmware is made of besides trainer and agent. Paths are relative to the target folder."""

    sources: tuple[str, ...] = Field(min_length=1)
    """C files of the board."""
    includes: tuple[str, ...] = ()
    """Folders with the board's headers."""
    link_folders: tuple[str, ...] = ()
    """Where the linker finds what link scripts include."""
    link_script: str
    large_link_script: str | None = None
    """Taken when the trainer does not fit with `link_script`."""
    stack_bytes: int = Field(default=8192, gt=0, multiple_of=8)
    """Stack that the link script reserves."""
    budget_step: int = Field(default=1024, gt=0)
    """Granularity of the SRAM budget that the firmware can enforce."""


class QemuStart(Strict):
    machine: str
    arguments: tuple[str, ...] = ()


class Memory(Strict):
    """A memory by the name it has in an emulator's platform file. Address and size in bytes."""

    name: str
    start: int
    size: int = Field(gt=0)


class RenodeStart(Strict):
    """How Renode is started. Files are relative to the target folder."""

    machine: str
    """Name of the machine in the script; Renode's prompt shows it."""
    script: str
    platform: str
    memories: tuple[Memory, ...]
    """Read and written in bulk by name."""


class BoardPart(Strict):
    """A board with a debug probe: which part pyOCD has to find on it, and how it is told from another."""

    usb: str
    """The connector to plug in, as it is called on the board."""
    part: str
    """pyOCD's name of the target."""
    pack: str | None = None
    """The CMSIS pack that describes the part; None: pyOCD knows it without one."""
    family: Literal["stm32f4", "stm32f7", "stm32h7", "stm32l4"]
    """Whose clock tree it is: `harness/devices/clocks.py`."""
    idcode_address: int
    """Of DBGMCU_IDCODE: device in bits 0 to 11, revision in bits 16 to 31."""
    device_id: int
    uid_address: int
    """Of the chip's unique ID, 12 bytes."""
    clock_hz: tuple[int, ...] = Field(min_length=1)
    """What the core may run at; more than one where revisions of the part differ."""
    hse_hz: int = Field(gt=0)
    """Of the board's external clock."""


class Budget(Strict):
    """The SRAM a product on the part this target stands for would have."""

    part: str
    sram_bytes: int = Field(gt=0)


class Target(Strict):
    """One target folder. `folder` is filled in by the loader."""

    name: str
    title: str
    driver: Literal["qemu", "renode", "native", "board"]
    core: str
    tick_unit: TickUnit
    ticks_per_count: int = 1
    """What one count of the tick source is worth in `tick_unit` (40 instructions per CMSDK tick on QEMU)."""
    toolchain: Toolchain
    firmware: FirmwareParts | None = None
    regions: tuple[Region, ...] = ()
    budget: Budget | None = None
    qemu: QemuStart | None = None
    renode: RenodeStart | None = None
    board: BoardPart | None = None
    folder: Path


def target_names(root: Path = TARGETS_ROOT) -> list[str]:
    """Names of all target folders, sorted."""
    return sorted(path.parent.name for path in root.glob("*/target.toml"))


def load_target(name: str, root: Path = TARGETS_ROOT) -> Target:
    """Read `targets/NAME/target.toml`; raise UsageError for an unknown name, TargetError for a bad file."""
    path = root / name / "target.toml"
    if name not in target_names(root):
        raise UsageError(f"no target named {name!r}; there are: {', '.join(target_names(root))}")
    return read_declaration(path, Target, name, TargetError)
