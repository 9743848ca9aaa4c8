"""Which faults there are, and one drawn at random: everything of it is decided before its run."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REQUEST_BYTES = 1100
"""About what the harness sends in a run of the small network, and what it receives."""
REPLY_BYTES = 2600

KINDS: Mapping[str, str] = {
    "none": "nothing: the oracle itself",
    "kill-emulator": "SIGKILL to QEMU after so many bytes on the serial line",
    "stop-emulator": "SIGSTOP to QEMU after so many bytes",
    "drop-bytes": "a few serial bytes are lost",
    "corrupt-bytes": "a few serial bytes are changed",
    "insert-bytes": "a few serial bytes come from nowhere",
    "noisy-line": "serial bytes are changed all the time, 1 in 20 to 1 in 2000",
    "swallow-bytes": "from some byte on, nothing more arrives in one direction",
    "close-line": "the serial line is closed",
    "kill-harness": "SIGKILL to trainbench",
    "terminate-harness": "SIGTERM to trainbench",
    "kill-job": "SIGKILL to the process of the cell",
    "kill-any": "SIGKILL to any process that trainbench started",
    "kill-harness-building": "SIGKILL to trainbench that compiles and builds",
    "disk-full": "the results folder has too little room (a small tmpfs; needs root)",
    "disk-full-building": "the same, with the builds in it",
    "file-too-large": "no file may grow beyond a limit (RLIMIT_FSIZE)",
    "wrong-elf-method": "the firmware of another update scheme lies where the run's was",
    "wrong-elf-weights": "the firmware of the same plan with other weights",
    "wrong-elf-garbage": "a firmware file cut short or changed in one byte",
}

FOREMOST = (
    "kill-emulator",
    "kill-harness",
    "corrupt-bytes",
    "swallow-bytes",
    "disk-full",
    "wrong-elf-method",
)
"""One of each sort; a short test has these."""
ON_THE_LINE = (
    *("kill-emulator", "stop-emulator", "drop-bytes", "corrupt-bytes", "insert-bytes"),
    *("noisy-line", "swallow-bytes", "close-line"),
)
TIMED = ("kill-harness", "terminate-harness", "kill-job", "kill-any", "kill-harness-building")
BUILDING = ("kill-harness-building", "disk-full-building")
"""They compile and build again, which takes long: one of them in twenty runs."""
RARELY = {**dict.fromkeys(BUILDING, 0.5), "none": 0.5}


@dataclass(frozen=True)
class Fault:
    """One fault. Fields that its kind does not need are there all the same."""

    kind: str
    seed: int
    replies: bool
    """Whether what the device sends is struck, or what it receives."""
    at_byte: int
    """After how many bytes of that direction."""
    count: int
    rate: float
    """Of a noisy line: share of bytes changed."""
    when: float
    """Of a timed one: as a share of what a run without faults takes. Of a full disk: how much room."""
    host_is_done: bool
    """The reference cell is there already, as after an earlier, interrupted run."""

    def as_text(self) -> str:
        match self.kind:
            case "noisy-line":
                return f"{self.kind} {self.rate:.2%}"
            case kind if kind in ON_THE_LINE:
                where = "replies" if self.replies else "requests"
                return f"{kind} {self.count} at byte {self.at_byte} of the {where}"
            case _:
                return f"{self.kind} {self.when:.2f}"


def draw(number: int, seed: int, kinds: tuple[str, ...]) -> Fault:
    """The fault of run `number`: kinds in turn by weight, so that each comes up; all else at random."""
    chance = random.Random(f"{seed}/{number}")
    kind = chance.choices(kinds, [RARELY.get(each, 1.0) for each in kinds])[0]
    return make(kind, chance)


def schedule(runs: int, seed: int, kinds: tuple[str, ...]) -> list[Fault]:
    """`runs` faults: every kind once before any comes by chance, in random order, one of each sort first."""
    chance = random.Random(seed)
    foremost = [kind for kind in kinds if kind in FOREMOST]
    common = [kind for kind in kinds if kind not in (*FOREMOST, *BUILDING)]
    chance.shuffle(foremost)
    chance.shuffle(common)
    first = [*foremost, *common, *(kind for kind in kinds if kind in BUILDING)]
    faults = [make(kind, random.Random(f"{seed}/first/{kind}")) for kind in first[:runs]]
    return [*faults, *(draw(number, seed, kinds) for number in range(len(faults), runs))]


def make(kind: str, chance: random.Random) -> Fault:
    replies = chance.random() < 0.5
    return Fault(
        kind=kind,
        seed=chance.getrandbits(32),
        replies=replies,
        at_byte=chance.randrange(REPLY_BYTES if replies else REQUEST_BYTES),
        count=chance.choice((1, 1, 2, 4, 9, 40)),
        rate=chance.choice((0.05, 0.01, 0.003, 0.0005)),
        when=chance.random(),
        host_is_done=chance.random() < 0.5,
    )


def usable_kinds(root: bool) -> tuple[str, ...]:
    return tuple(kind for kind in KINDS if root or not kind.startswith("disk-full"))


def line_settings(fault: Fault) -> dict[str, Any]:
    """What the proxy on the serial line is told."""
    return {
        "kind": fault.kind,
        "seed": fault.seed,
        "replies": fault.replies,
        "at_byte": fault.at_byte,
        "count": fault.count,
        "rate": fault.rate,
    }
