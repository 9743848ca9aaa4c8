"""Signals that end this process as exceptions, so that everything is closed on the way out."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

AGAIN_SECONDS = 0.01


def raise_on(numbers: Iterable[int], ending: Callable[[int], BaseException]) -> None:
    """From now on each of the signals `numbers` raises `ending(number)` in the main thread.

    Where Python ignores exceptions (in `__del__`, in what it calls after a fork), it would be printed and
    lost, and the process would go on: there it is raised again a moment later, for which SIGALRM is taken.
    """
    raised: list[BaseException] = []
    last: list[int] = []

    def end(number: int, frame: FrameType | None) -> NoReturn:
        if number != signal.SIGALRM:
            last[:] = [number]
        raised[:] = [ending(last[0])]
        raise raised[0]

    def ignored(found: sys.UnraisableHookArgs) -> None:
        if raised and found.exc_value is raised[0]:
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        else:
            sys.__unraisablehook__(found)

    sys.unraisablehook = ignored
    for number in (*numbers, signal.SIGALRM):
        signal.signal(number, end)
