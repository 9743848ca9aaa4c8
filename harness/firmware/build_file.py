"""The text of build.ninja: a pure function of the plan."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ninja import ninja_syntax

from harness.targets import FirmwareParts, Target

ELF_NAME = "firmware.elf"

MICROCONTROLLER_LINK_FLAGS = ("-nostdlib", "-Wl,--start-group", "-lc", "-lgcc", "-Wl,--end-group")
"""No start files, no libm, no system calls: of the C library only what needs none, such as memcpy."""


@dataclass(frozen=True)
class BuildPlan:
    """All that decides what the firmware will be. All folders are absolute."""

    compiler: Path
    flags: tuple[str, ...]
    sources: Mapping[str, Path]
    """Object file below the build folder, as `trainer/…`, `agent/…` or `board/…` → source file."""
    includes: Mapping[str, tuple[Path, ...]]
    """Group of sources → its include folders."""
    target: Target
    parts: FirmwareParts
    stack_bytes: int
    out_dir: Path
    trainer_flags: tuple[str, ...] = ()
    """Of the trainer's sources alone, after all others."""
    prefix: tuple[str, ...] = ()
    """Words before the compiler's, of what runs it (`compiler_cache`)."""

    def shown(self, group: str, path: Path) -> str:
        """`path` as the compiler is told it: the trainer's from the build folder, so that the same trainer
        built elsewhere is the same to a cache of the compiler's work."""
        return os.path.relpath(path, self.out_dir) if group == "trainer" else str(path)


def build_file(plan: BuildPlan, link_script: str) -> str:
    """Text of build.ninja that links with `link_script` of the target's folder."""
    text = StringIO()
    # The package's annotations ask for str and list[str] where it takes any text stream and str too.
    writer: Any = ninja_syntax.Writer(text, width=1 << 20)  # type: ignore[arg-type]
    for group in plan.includes:
        command = f"{_command(_compile_words(plan, group))} -MD -MF $out.d -c $in -o $out"
        writer.rule(f"compile_{group}", command, depfile="$out.d", deps="gcc")
    for name, path in plan.sources.items():
        group = name.partition("/")[0]
        writer.build(_escaped(name), f"compile_{group}", _escaped(plan.shown(group, path)))
    script = plan.target.folder.resolve() / link_script
    libraries = () if plan.target.driver == "native" else MICROCONTROLLER_LINK_FLAGS
    writer.rule("link", f"{_command(_link_words(plan, script))} $in {_command(libraries)} -o $out")
    writer.build(
        ELF_NAME, "link", [_escaped(name) for name in plan.sources], implicit=[_escaped(str(script))]
    )
    writer.default(ELF_NAME)
    return text.getvalue()


def _compile_words(plan: BuildPlan, group: str) -> list[str]:
    """Folders of sources and output are mapped away: the ELF file does not depend on where they are."""
    own = {path.parent for name, path in plan.sources.items() if name.startswith(f"{group}/")}
    maps = {plan.shown(group, folder): "include" for folder in plan.includes[group]}
    maps |= {plan.shown(group, folder): group for folder in own} | {str(plan.out_dir): "."}
    return [
        *(*plan.prefix, str(plan.compiler), *plan.flags),
        *(f"-I{plan.shown(group, folder)}" for folder in plan.includes[group]),
        *(f"-ffile-prefix-map={folder}={name}" for folder, name in sorted(maps.items())),
        *(plan.trainer_flags if group == "trainer" else ()),
    ]


def _link_words(plan: BuildPlan, script: Path) -> list[str]:
    folders = [(plan.target.folder / name).resolve() for name in plan.parts.link_folders]
    return [
        *(str(plan.compiler), *plan.flags, *plan.target.toolchain.link_flags),
        *(f"-L{folder}" for folder in folders),
        *("-T", str(script), "-Wl,--gc-sections", f"-Wl,--defsym=__stack_bytes={plan.stack_bytes}"),
    ]


def _command(words: Sequence[str]) -> str:
    """Words for the shell, inside a ninja value."""
    return shlex.join(words).replace("$", "$$")


def _escaped(path: str) -> str:
    """The writer escapes spaces and colons by itself."""
    return path.replace("$", "$$")
