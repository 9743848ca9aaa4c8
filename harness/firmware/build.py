"""Trainer + agent + board → firmware: what to compile, run by ninja, and what came out of it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import ninja

from harness.deadline import Deadline
from harness.errors import BuildError, TargetError, UsageError
from harness.firmware.build_file import ELF_NAME, BuildPlan, build_file
from harness.firmware.compiler_cache import compiler_prefix
from harness.firmware.elf_sections import (
    SectionSizes,
    SramLayout,
    check_sections,
    read_elf,
    section_sizes,
    sram_layout,
    symbol_list,
)
from harness.firmware.run_tool import run_tool
from harness.firmware.toolchain import find_compiler
from harness.measure.sram import Symbol
from harness.provenance import PROJECT_ROOT
from harness.targets import FirmwareParts, Target

AGENT_FOLDER = PROJECT_ROOT / "harness" / "agent"
TRAINER_H_FOLDER = PROJECT_ROOT / "engine" / "runtime"
BUILD_SECONDS = 300.0

COMMON_FLAGS = (
    *("-std=c99", "-g", "-Wall", "-Wextra"),
    # Bit-exact floating point everywhere; without errno the compiler may use the square root instruction.
    *("-ffp-contract=off", "-fno-fast-math", "-fno-math-errno"),
    # The arena is an array of bytes that holds floats and integers in turn.
    "-fno-strict-aliasing",
    *("-ffunction-sections", "-fdata-sections", "-fno-common", "-fno-stack-protector"),
)
SANITIZER_FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")

_LOG = "build.log"
_OVERFLOW = re.compile(r"region `\w+' overflowed by \d+ bytes|will not fit in region")
_ERROR = re.compile(r"error: |undefined reference|multiple definition|overflowed by|cannot find ")


@dataclass(frozen=True)
class TrainerParts:
    """What a trainer is made of that is more than a folder. Absolute paths."""

    sources: tuple[Path, ...]
    includes: tuple[Path, ...]
    """One of them holds trainer.h."""
    flags: tuple[str, ...] = ()
    """Of its own files, after all others."""


@dataclass(frozen=True)
class Firmware:
    """A linked firmware and what is to be known of it for measuring and for provenance."""

    elf: Path
    digest: str
    """SHA-256 of the ELF file."""
    target: str
    compiler: str
    toolchain: str
    """First line of the compiler's --version."""
    flags: tuple[str, ...]
    """Of compiling, without folders."""
    large_layout: bool
    """True when the trainer did not fit the target's first link script."""
    sections: SectionSizes
    sram: SramLayout
    symbols: tuple[Symbol, ...]
    log: Path


def build_firmware(
    trainer_dir: Path,
    target: Target,
    out_dir: Path,
    *,
    compiler: str | None = None,
    optimization: str | None = None,
    sram_budget: int | None = None,
    stack_bytes: int | None = None,
    sanitize: bool = False,
    defines: Mapping[str, str | int] | None = None,
    deadline: Deadline | None = None,
    trainer: TrainerParts | None = None,
) -> Firmware:
    """Compile every .c file of `trainer_dir`, the agent and the target's board, and link them in `out_dir`.

    `trainer`: what to compile of the folder instead, and how.

    `compiler` and `optimization` default to the target's. `sram_budget`: bytes from the start of SRAM that
    the firmware may touch; touching others faults. `stack_bytes`: stack to reserve, default from the target.
    `defines` go to all files. `deadline` is 300 s by default.

    Raises BuildError with the first compiler error, ToolMissingError with the package to install, UsageError
    for options that the target does not have, DeviceHang when time is up.
    """
    parts = target.firmware
    if parts is None:
        raise TargetError(f"target {target.name} has no [firmware] table, so nothing can be built for it")
    if sanitize and target.driver != "native":
        raise UsageError(f"target {target.name} has no sanitizers; they exist on native targets only")
    found = find_compiler(target, compiler)
    settings = dict(defines or {}) | {"TRAINBENCH_STACK_BYTES": stack_bytes or parts.stack_bytes}
    if sram_budget is not None:
        settings["TRAINBENCH_SRAM_BUDGET"] = _checked_budget(sram_budget, target, parts)
    flags = (
        *(optimization or target.toolchain.optimization, *COMMON_FLAGS, *target.toolchain.flags),
        *(SANITIZER_FLAGS if sanitize else ()),
        *(f"-D{name}={value}" for name, value in sorted(settings.items())),
    )
    if trainer is None:
        trainer = _parts_of(trainer_dir)
    plan = BuildPlan(
        compiler=found.path,
        flags=flags,
        trainer_flags=trainer.flags,
        prefix=compiler_prefix(),
        sources=_sources(trainer_dir, trainer, target, parts),
        includes={
            "trainer": trainer.includes,
            "agent": (AGENT_FOLDER, TRAINER_H_FOLDER),
            "board": (AGENT_FOLDER, *((target.folder / name).resolve() for name in parts.includes)),
        },
        target=target,
        parts=parts,
        stack_bytes=stack_bytes or parts.stack_bytes,
        out_dir=out_dir.resolve(),
    )
    large = _link(plan, deadline or Deadline.after(BUILD_SECONDS))
    elf = plan.out_dir / ELF_NAME
    contents = read_elf(elf)
    if target.driver != "native":
        check_sections(contents)
    return Firmware(
        elf=elf,
        digest=hashlib.sha256(elf.read_bytes()).hexdigest(),
        target=target.name,
        compiler=found.name,
        toolchain=found.version,
        flags=(*flags, *trainer.flags),
        large_layout=large,
        sections=section_sizes(contents),
        sram=sram_layout(contents),
        symbols=symbol_list(contents),
        log=plan.out_dir / _LOG,
    )


def _link(plan: BuildPlan, deadline: Deadline) -> bool:
    """Build with the first link script, or with the large one if that overflows; True if it was the large."""
    plan.out_dir.mkdir(parents=True, exist_ok=True)
    complaint = _run_ninja(plan, plan.parts.link_script, deadline)
    large = plan.parts.large_link_script
    if complaint is None:
        return False
    if large is not None and _OVERFLOW.search(complaint):
        complaint = _run_ninja(plan, large, deadline)
        if complaint is None:
            return True
    raise BuildError(
        f"the firmware for {plan.target.name} does not build: {first_error(complaint)} "
        f"(everything the tools said is in {plan.out_dir / _LOG})"
    )


def _run_ninja(plan: BuildPlan, link_script: str, deadline: Deadline) -> str | None:
    """None when the ELF file is up to date, else what the tools said."""
    (plan.out_dir / "build.ninja").write_text(build_file(plan, link_script), encoding="utf-8")
    log = plan.out_dir / _LOG
    code = run_tool([str(Path(ninja.BIN_DIR) / "ninja")], plan.out_dir, log, deadline)
    return None if code == 0 else log.read_text(encoding="utf-8", errors="replace")


def first_error(output: str) -> str:
    """The first line of a compiler's or linker's output that states an error, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    stated = next((line for line in lines if _ERROR.search(line) and not line.startswith("FAILED")), None)
    return stated or (lines[-1] if lines else "the tools said nothing")


def _parts_of(trainer_dir: Path) -> TrainerParts:
    sources = sorted(trainer_dir.glob("*.c"))
    if not (trainer_dir / "trainer.h").is_file() or not sources:
        raise BuildError(f"{trainer_dir} is no trainer: it has to hold trainer.h and at least one .c file")
    return TrainerParts(tuple(sources), (trainer_dir.resolve(),))


def _object_name(path: Path, folder: Path) -> str:
    """Distinct for files of one name in several folders; no slash, which link scripts do not match."""
    relative = os.path.relpath(path.resolve().with_suffix(""), folder.resolve())
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", relative)


def _sources(
    trainer_dir: Path, trainer: TrainerParts, target: Target, parts: FirmwareParts
) -> dict[str, Path]:
    """Object → source. The link scripts tell owners apart by the objects' folder."""
    board = [target.folder / name for name in parts.sources]
    missing = next((path for path in board if not path.is_file()), None)
    if missing is not None:
        raise TargetError(f"target {target.name} names a source file that is not there: {missing}")
    groups = {"agent": sorted(AGENT_FOLDER.glob("*.c")), "board": board}
    objects = [(f"trainer/{_object_name(path, trainer_dir)}.o", path.resolve()) for path in trainer.sources]
    objects += [
        (f"{group}/{path.stem}.o", path.resolve()) for group, paths in groups.items() for path in paths
    ]
    if len({name for name, _ in objects}) != len(objects):
        raise TargetError(f"target {target.name} has two source files of the same name")
    return dict(objects)


def _checked_budget(sram_budget: int, target: Target, parts: FirmwareParts) -> int:
    ram = next((region for region in target.regions if region.kind == "ram"), None)
    if ram is None:
        raise UsageError(f"target {target.name} cannot enforce an SRAM budget")
    if not 0 < sram_budget <= ram.size or sram_budget % parts.budget_step:
        raise UsageError(
            f"an SRAM budget of {sram_budget} bytes cannot be enforced on {target.name}; "
            f"it takes multiples of {parts.budget_step} bytes up to {ram.size}"
        )
    return sram_budget
