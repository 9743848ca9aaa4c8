"""After a transport error: the board's power is cycled while it is ours, so that a retry finds it fresh."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from harness.deadline import Deadline
from harness.errors import HarnessError, RackError, TransportError

SECONDS = 45.0
"""For the power to be cycled and the probe to be back."""
_POLL_SECONDS = 0.2


class Recovery:
    """To be pushed on an `ExitStack`, below what is closed first and above the lock that is given back last.

    What was done is a note of the error (`add_note`), which goes into the record of the attempt.
    """

    def __init__(
        self, what: str, switch: Callable[[Deadline], None], is_back: Callable[[], bool] = lambda: True
    ) -> None:
        """`what`: the board, for the note. `switch`: cycles its power; raises HarnessError's kinds."""
        self._what = what
        self._switch = switch
        self._is_back = is_back

    def __call__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, TransportError):
            error.add_note(self._recover())

    def _recover(self) -> str:
        deadline = Deadline.after(SECONDS)
        try:
            self._switch(deadline)
            while not self._is_back():
                if deadline.expired:
                    raise RackError(f"its probe was not back within {SECONDS:g} s")
                time.sleep(_POLL_SECONDS)
        except HarnessError as reason:
            return f"the power of {self._what} could not be cycled: {reason}"
        return f"the power of {self._what} was cycled"
