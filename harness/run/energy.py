"""The energy meter of a cell: which board it hangs at, and its steps."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from harness.devices.base import Device
from harness.energy import open_meter
from harness.energy.settings import MeterSettings
from harness.errors import MeterError, UsageError
from harness.measure.accuracy import plan_training
from harness.measure.energy import STEPS, EnergyMeter, measure_energy
from harness.rack.file import Rack
from harness.results.document import Energy
from harness.run.cell import Samples, Task
from harness.run.session import Session
from harness.targets import load_target

DRAW_NO_CURRENT = ("native", "qemu", "renode")


@dataclass(frozen=True)
class Metered:
    """A board of the rack and the meter in its supply."""

    board: str
    settings: MeterSettings


def metered_targets(rack: Rack, boards: Sequence[str], targets: Sequence[str]) -> dict[str, Metered]:
    """By target: what `--meter` names. UsageError for a board without a meter, or one that does not run."""
    found: dict[str, Metered] = {}
    for name in boards:
        board = rack.board(name)
        if board.meter is None:
            raise UsageError(f"--meter {name}: the rack file gives this board no meter")
        if board.target not in targets:
            raise UsageError(f"--meter {name}: nothing runs on its target, {board.target}")
        if load_target(board.target).driver in DRAW_NO_CURRENT:
            raise UsageError(
                f"--meter {name}: {board.target} is no board, it draws no current to be measured"
            )
        if board.target in found:
            raise UsageError(f"--meter {name}: {found[board.target].board} is of the same target; name one")
        found[board.target] = Metered(name, board.meter)
    return found


def meter_for(metered: Metered | None) -> AbstractContextManager[EnergyMeter | None]:
    """The meter, ours in the block. It is opened before the board: it may be what supplies it."""
    return nullcontext() if metered is None else open_meter(metered.settings)


def cell_energy(
    meter: EnergyMeter, metered: Metered, device: Device, session: Session, samples: Samples, task: Task
) -> Energy:
    """Energy of the first steps of the course. MeterError: the device is another board than the meter's."""
    if device.board != metered.board:
        raise MeterError(
            f"the meter is in the supply of board {metered.board}, but the trainer ran on"
            f" {device.board or device.name}"
        )
    steps = plan_training(task.course, samples.train, task.seed)[:STEPS]
    session.reset(task.seed)
    return measure_energy(meter, session, samples.images, samples.labels, steps)
