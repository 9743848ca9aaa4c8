"""What a target needs on this machine, what of it is installed, and how to get the rest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from harness.targets import BoardPart, Target

RENODE_HINT = "install Renode 1.16 (package or portable archive, https://renode.io) and put it on PATH"
_PACKAGES = {
    "qemu-system-arm": ("qemu-system-arm",),
    "arm-none-eabi-gcc": ("gcc-arm-none-eabi", "libnewlib-arm-none-eabi"),
    "gcc": ("gcc", "libc6-dev"),
    "clang": ("clang",),
}
"""Debian and Ubuntu packages by program."""
_EMULATORS = {"qemu": "qemu-system-arm", "renode": "renode"}
"""By driver."""
_HINTS = {"renode": RENODE_HINT}


@dataclass(frozen=True)
class Requirement:
    """A program a target needs. `path` is None when it is not installed; `optional` when another serves."""

    program: str
    purpose: str
    path: str | None
    packages: tuple[str, ...]
    optional: bool = False
    otherwise: str | None = None
    """How to get what is in no package."""
    absent: str = "is not installed"
    """What is the matter where `path` is None."""

    @property
    def hint(self) -> str:
        """How to get it, in one line."""
        if self.otherwise is not None:
            return self.otherwise
        if not self.packages:
            return f"install {self.program} and put it on PATH"
        return f"apt install {' '.join(self.packages)}"


@dataclass(frozen=True)
class Availability:
    """All requirements of a target."""

    target: str
    requirements: tuple[Requirement, ...]

    @property
    def missing(self) -> tuple[Requirement, ...]:
        """What must be installed before the target can be used."""
        return tuple(r for r in self.requirements if r.path is None and not r.optional)

    @property
    def usable(self) -> bool:
        return not self.missing


def availability(target: Target, which: Callable[[str], str | None] = shutil.which) -> Availability:
    """Look for a target's emulator and compilers; the first compiler is required, the others optional."""
    requirements = [
        Requirement(compiler, "compiler", which(compiler), _PACKAGES.get(compiler, ()), optional=index > 0)
        for index, compiler in enumerate(target.toolchain.compilers)
    ]
    program = _EMULATORS.get(target.driver)
    if program is not None:
        packages, hint = _PACKAGES.get(program, ()), _HINTS.get(program)
        requirements.insert(0, Requirement(program, "emulator", which(program), packages, otherwise=hint))
    if target.board is not None:
        requirements = [*_board_needs(target, target.board), *requirements]
    return Availability(target.name, tuple(requirements))


def _board_needs(target: Target, part: BoardPart) -> tuple[Requirement, ...]:
    """A CMSIS pack, and a debug probe: any, for which board is on it only a connection tells."""
    from harness.devices.attached import attached_probes, pack_file

    probe = Requirement(
        *("debug probe", "USB", ", ".join(attached_probes()) or None, ()),
        otherwise=f"connect {target.title} at {part.usb}",
        absent="is not attached",
    )
    if part.pack is None:
        return (probe,)
    command = f"pyocd pack install {part.part}"
    return Requirement(part.pack, "CMSIS pack", pack_file(part.pack), (), otherwise=command), probe
