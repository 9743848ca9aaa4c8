"""A folder of C that implements trainer.h, and what its optional trainer.toml says of it.

name = "logistic-regression"       # its row in tables; default: the folder's name
description = "…"                  # for the report
sources = ["*.c", "engine/*.c"]    # glob patterns, relative to the folder; default: ["*.c"]
includes = ["engine/include"]      # folders with headers beside the folder itself
flags = ["-std=gnu11", "-DFAST"]   # for the trainer's own files, after those of trainbench
learning_rate = 0.05               # per image; else --learning-rate has to be given
epochs = 8                         # after the warm-up; default: the suite's
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from harness.declaration import Strict, read_declaration
from harness.errors import HarnessError, UsageError
from harness.firmware.build import TRAINER_H_FOLDER, TrainerParts

FILE_NAME = "trainer.toml"
_DIGESTED = frozenset({".c", ".h", ".inc", ".toml"})
_MOST_FILES = 5000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:+-]{0,63}")


class TrainerError(HarnessError):
    """A trainer that a user brought and that does not keep to trainer.h."""


class TrainerDeclaration(Strict):
    """One such folder. Paths are relative to it, which is absolute."""

    name: str = ""
    description: str = ""
    sources: tuple[str, ...] = Field(default=("*.c",), min_length=1)
    includes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    learning_rate: float | None = Field(default=None, gt=0, lt=1e6, allow_inf_nan=False)
    epochs: int | None = Field(default=None, ge=1)
    folder: Path

    def parts(self) -> TrainerParts:
        """What to compile. TrainerError: a pattern that matches nothing, a folder that is not there."""
        files: dict[Path, None] = {}
        for pattern in self.sources:
            # An absolute pattern is refused by glob with an exception of its own.
            found = [] if Path(pattern).is_absolute() else sorted(self.folder.glob(pattern))
            matched = [path for path in found if path.is_file() and path.suffix == ".c"]
            if not matched:
                raise TrainerError(
                    f"trainer {self.name}: {self.folder} has no .c file that matches {pattern!r}"
                )
            files |= dict.fromkeys(path.resolve() for path in matched)
        includes = [self.folder, *(self.folder / name for name in self.includes)]
        for folder in includes:
            if not folder.is_dir():
                raise TrainerError(f"trainer {self.name}: the include folder {folder} is not there")
        if not any((folder / "trainer.h").is_file() for folder in includes):
            includes.append(TRAINER_H_FOLDER)
        return TrainerParts(tuple(files), tuple(folder.resolve() for folder in includes), self.flags)

    def digest(self) -> str:
        """SHA-256 over every source, header and TOML file that may decide what the trainer is."""
        parts = self.parts()
        folders = dict.fromkeys((self.folder, *parts.includes))
        own = {path for folder in folders for path in self._files(folder)}
        digest = hashlib.sha256("\0".join(self.flags).encode())
        for path in sorted({*own, *parts.sources}):
            digest.update(f"{os.path.relpath(path, self.folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def _files(self, folder: Path) -> Iterator[Path]:
        found = (path.resolve() for path in folder.rglob("*") if path.suffix in _DIGESTED and path.is_file())
        for number, path in enumerate(found):
            if number == _MOST_FILES:
                raise TrainerError(
                    f"trainer {self.name}: {folder} has more than {_MOST_FILES} C and TOML files;"
                    " keep a trainer in a folder of its own"
                )
            yield path


def read_trainer(folder: Path) -> TrainerDeclaration:
    """The trainer in `folder`. UsageError: no such folder; TrainerError: a bad trainer.toml or name."""
    absolute = folder.expanduser().resolve()
    if not absolute.is_dir():
        raise UsageError(f"--trainer {folder}: there is no such folder")
    path = absolute / FILE_NAME
    if path.is_file():
        declared = read_declaration(path, TrainerDeclaration, None, TrainerError)
    else:
        declared = TrainerDeclaration(folder=absolute)
    name = declared.name or absolute.name
    if not _NAME.fullmatch(name):
        raise TrainerError(
            f"trainer {absolute}: {name!r} cannot be its name, which is 64 letters, digits, spaces and"
            f" . _ : + - at most; {FILE_NAME} can give another"
        )
    return declared.model_copy(update={"name": name})
