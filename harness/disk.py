"""Files that the system does not let us write: no bug, and no fault of what is measured."""

from __future__ import annotations

import errno

from harness.errors import ResultsError

_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def refusal(error: OSError) -> ResultsError | None:
    """What to tell the user where `error` says that a disk is full, broken or read-only; None: it is another.

    After it the same command goes on where it stopped.
    """
    if error.errno not in _REFUSALS:
        return None
    where = f"{error.filename} cannot be written" if error.filename else "a file cannot be written"
    return ResultsError(f"{where}: {error.strerror}; make room and run the same command again")
