"""A place where one trainer after the other is built, so that the kernels are compiled once.

Trainers of one search differ in two files, the generated source and its constants. A trainer that is built in
a slot replaces only the files that differ from the last one's, and ninja compiles what changed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from harness.deadline import Deadline
from harness.firmware.build import BUILD_SECONDS, Firmware, build_firmware
from harness.search.host_compiler import host_compiler
from harness.targets import Target

_POLL_SECONDS = 0.05
FRESH = "fresh"
"""In a slot: where a trainer is generated, before its files are compared with the last one's."""


@dataclass(frozen=True)
class Slot:
    """A folder that is ours alone until the lock is let go, with the firmware that was built in it last."""

    folder: Path

    @property
    def fresh(self) -> Path:
        return self.folder / FRESH

    def build(self, target: Target) -> Firmware:
        """Firmware of the trainer that lies in `fresh`. Raises what `build_firmware` raises."""
        trainer = self.folder / "trainer"
        replace_changed(self.fresh, trainer)
        compiler = host_compiler(target).name
        return build_firmware(trainer, target, self.folder / f"build-{compiler}", compiler=compiler)


@contextmanager
def slot(folder: Path, count: int) -> Iterator[Slot]:
    """The first free of `count` slots in `folder`; DeviceHang where none gets free in time."""
    folder.mkdir(parents=True, exist_ok=True)
    deadline = Deadline.after(BUILD_SECONDS)
    while True:
        for number in range(count):
            lock = filelock.FileLock(folder / f"{number}.lock")
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                continue
            try:
                yield Slot(folder / str(number))
            finally:
                lock.release()
            return
        deadline.check(f"waiting for one of {count} build folders in {folder}")
        time.sleep(_POLL_SECONDS)


def replace_changed(source: Path, target: Path) -> None:
    """Make `target` hold the same files as `source`, leaving equal ones untouched."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = {path.name for path in source.iterdir()}
    for stale in [path for path in target.iterdir() if path.name not in wanted]:
        stale.unlink()
    for path in source.iterdir():
        other = target / path.name
        if not other.is_file() or other.read_bytes() != path.read_bytes():
            shutil.copyfile(path, other)
