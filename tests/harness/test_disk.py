"""A file that cannot be written is one sentence, whoever writes it."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from harness.disk import refusal
from harness.errors import ResultsError
from harness.results.store import write_atomically
from harness.run.workers import Job, Report, run_jobs


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes: the nearest to a full disk that needs no root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_with_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.run.json"
    write_atomically(path, "old")
    with (
        small_files(1000),
        pytest.raises(ResultsError, match=r"a\.run\.json cannot be written: File too large"),
    ):
        write_atomically(path, "x" * 100_000)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_is_a_bug(tmp_path: Path) -> None:
    assert refusal(IsADirectoryError(errno.EISDIR, "Is a directory", "x")) is None


def full(report: Report) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/results/x")


def test_a_full_disk_in_a_job_is_an_expected_error() -> None:
    with closing(run_jobs([Job("job", full)], (ResultsError,))) as outcomes:  # type: ignore[type-var]
        (outcome,) = outcomes
    assert isinstance(outcome.error, ResultsError)
    assert "/results/x cannot be written: No space left on device" in str(outcome.error)
