"""Compilers: whether they are there, how to get them, which version they are."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ToolMissingError, UsageError
from harness.targets import Target

PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "gcc": "gcc libc6-dev",
    "clang": "clang libc6-dev",
}
"""Debian and Ubuntu packages of each compiler and its C library."""

_ASK_SECONDS = 20.0


@dataclass(frozen=True)
class Compiler:
    name: str
    path: Path
    version: str
    """First line of --version."""


def find_compiler(target: Target, name: str | None = None) -> Compiler:
    """The target's compiler `name`, or its first; raise ToolMissingError with the package to install."""
    allowed = target.toolchain.compilers
    chosen = allowed[0] if name is None else name
    if chosen not in allowed:
        raise UsageError(f"target {target.name} is not built with {chosen!r}; it takes {', '.join(allowed)}")
    found = shutil.which(chosen)
    if found is None:
        raise ToolMissingError(
            f"target {target.name} needs {chosen}, which is not installed; "
            f"run: apt install {_packages(chosen)}"
        )
    # A compiler that does not know where its C library is answers with the bare file name.
    library = "libc.so" if target.driver == "native" else "libc.a"
    if _ask(found, f"-print-file-name={library}") == library:
        raise ToolMissingError(
            f"{chosen} is installed, but its C library is not; run: apt install {_packages(chosen)}"
        )
    return Compiler(chosen, Path(found), _ask(found, "--version").partition("\n")[0])


def _packages(name: str) -> str:
    return PACKAGES.get(name, name)


def _ask(program: str, question: str) -> str:
    try:
        answer = subprocess.run(
            [program, question], capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissingError(f"{program} {question} does not work: {error}") from error
    return answer.stdout.strip()
