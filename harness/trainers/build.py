"""A user's trainer → firmware; what a linker says of it in the words of trainer.h."""

from __future__ import annotations

import re
from pathlib import Path

from harness.errors import BuildError
from harness.firmware.build import Firmware, build_firmware
from harness.targets import Target
from harness.trainers.declaration import TrainerDeclaration

FUNCTIONS = (
    *("trainer_info", "trainer_reset", "trainer_set_learning_rate", "trainer_input", "trainer_predict"),
    *("trainer_train_step", "trainer_logits", "trainer_state_count", "trainer_state_span"),
    "trainer_arena_span",
)
"""What trainer.h declares."""

_UNDEFINED = re.compile(r"undefined reference to [`'](\w+)'")


def build_trainer(
    trainer: TrainerDeclaration, target: Target, folder: Path, sram_budget: int | None = None
) -> Firmware:
    """Build `trainer` for `target` in `folder`; BuildError says first what it does not define."""
    try:
        return build_firmware(
            trainer.folder, target, folder, sram_budget=sram_budget, trainer=trainer.parts()
        )
    except BuildError as error:
        log = folder / "build.log"
        said = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
        raise BuildError(f"trainer {trainer.name}: {missing_symbols(said) or error}") from error


def missing_symbols(output: str) -> str:
    """What a linker misses, as a sentence; empty where it misses nothing."""
    undefined = sorted(set(_UNDEFINED.findall(output)))
    lacking = [name for name in FUNCTIONS if name in undefined]
    foreign = [name for name in undefined if name not in FUNCTIONS]
    sentences = []
    if lacking:
        sentences.append(f"it does not define {', '.join(lacking)}, which trainer.h asks for")
    if foreign:
        sentences.append(
            f"it uses {', '.join(foreign)}, which nothing defines: its sources have to be complete, and there"
            " is no libm, no heap and no operating system"
        )
    return "; ".join(sentences)
