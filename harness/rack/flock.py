"""The kernel's file locks. They end with the process that holds them, and with nothing else.

`filelock` is not used for boards: where a file system cannot lock it may fall back to a file that exists or
not, which outlives its owner.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

from harness.deadline import Deadline

_POLL_SECONDS = 0.05
_HELD = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES})


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock on `path` (made if missing) until it is closed; None: somebody has it.

    Raises OSError where nothing can be locked. Programs that this process executes do not get the descriptor.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _HELD:
            return None
        raise
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def lock(path: Path, deadline: Deadline) -> int | None:
    """The same, waiting until `deadline`."""
    while (descriptor := try_lock(path)) is None:
        if deadline.expired:
            return None
        time.sleep(min(_POLL_SECONDS, deadline.remaining()))
    return descriptor
