"""What the arena planner places: buffers as rigid shapes in (bytes × operators), and a bound on any plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.errors import PlanError

DEFAULT_ALIGNMENT = 4
"""Bytes; a float32 or an int32 needs no more on Cortex-M."""


@dataclass(frozen=True)
class Part:
    """Bytes [`start`, `start` + `size`) from the buffer's offset, in the operators [`first`, `last`)."""

    start: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Buffer:
    """What shares memory in place: `parts` that follow each other without a gap in time, and move together.

    The lowest part starts at 0; where another starts higher, the bytes below it are free for other buffers
    meanwhile. Raises PlanError where a part has `size` < 1, `start` < 0, `first` < 0 or `first` >= `last`,
    where the parts leave a gap in time or overlap in it, where none starts at 0, or where `name` cannot
    stand in a C comment.
    """

    name: str
    parts: tuple[Part, ...]

    @classmethod
    def box(cls, name: str, size: int, first: int, last: int) -> Buffer:
        """The same `size` bytes in all operators of its life."""
        return cls(name, (Part(0, size, first, last),))

    @property
    def first(self) -> int:
        """The operator it begins to live in."""
        return self.parts[0].first

    @property
    def last(self) -> int:
        """The first operator after its life."""
        return self.parts[-1].last

    @property
    def extent(self) -> int:
        """Bytes from the buffer's offset to the end of its highest part."""
        return max(part.start + part.size for part in self.parts)

    def __post_init__(self) -> None:
        if not self.name or "*" in self.name or not self.name.isprintable() or " " in self.name:
            raise PlanError(
                f"a buffer is named {self.name!r}; a name needs one or more printable characters "
                "and neither spaces nor asterisks"
            )
        if not self.parts:
            raise PlanError(f"buffer {self.name} has no parts; leave buffers without bytes out of the plan")
        for part in self.parts:
            self._refuse_bad_part(part)
        for earlier, later in pairwise(self.parts):
            if earlier.last != later.first:
                raise PlanError(
                    f"a part of buffer {self.name} ends at operator {earlier.last} and the next begins at "
                    f"{later.first}; parts follow each other without a gap"
                )
        lowest = min(part.start for part in self.parts)
        if lowest:
            raise PlanError(
                f"the lowest part of buffer {self.name} starts at {lowest}; count starts from the lowest part"
            )

    def _refuse_bad_part(self, part: Part) -> None:
        if part.size < 1:
            raise PlanError(
                f"buffer {self.name} has a size of {part.size} bytes; "
                "leave buffers without bytes out of the plan"
            )
        if part.first < 0 or part.first >= part.last:
            raise PlanError(
                f"buffer {self.name} is live in operators [{part.first}, {part.last}); "
                "the first has to be 0 or more and less than the last"
            )
        if part.start < 0:
            raise PlanError(
                f"a part of buffer {self.name} starts at {part.start}; a start is 0 or more, "
                "counted from the buffer's offset"
            )


def rounded(size: int, alignment: int) -> int:
    """`size` rounded up to a multiple of `alignment`, in bytes."""
    return -(-size // alignment) * alignment


def live_profile(buffers: Sequence[Buffer], alignment: int) -> list[int]:
    """Bytes live at each operator, each part rounded up to `alignment`."""
    changes = [0] * (max((buffer.last for buffer in buffers), default=0) + 1)
    for buffer in buffers:
        for part in buffer.parts:
            size = rounded(part.size, alignment)
            changes[part.first] += size
            changes[part.last] -= size
    profile: list[int] = []
    live = 0
    for change in changes[:-1]:
        live += change
        profile.append(live)
    return profile


def lower_bound(buffers: Sequence[Buffer], alignment: int = DEFAULT_ALIGNMENT) -> int:
    """Bytes: the most live at one operator, or the greatest extent of one buffer where that is more.

    It proves that no placement of these shapes has a lower peak: what is live at one operator lies side by
    side at that moment, each part on multiples of `alignment`, and a shape cannot be folded. It says nothing
    of another order of operators or of other shapes.
    """
    widest = max((rounded(buffer.extent, alignment) for buffer in buffers), default=0)
    return max([widest, *live_profile(buffers, alignment)])
