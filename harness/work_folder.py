"""A folder for what a command builds on the way to its figures."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import BuildError


@contextmanager
def work_folder(command: str) -> Iterator[Path]:
    """A new folder that is removed in the end, but for a BuildError: that names a log in it."""
    folder = Path(tempfile.mkdtemp(prefix=f"trainbench-{command}-"))
    keep = False
    try:
        yield folder
    except BuildError:
        keep = True
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
