"""Power cycling the board at a place that is held, with `labgrid-client power cycle`."""

from __future__ import annotations

import os
import sys

from harness.deadline import Deadline
from harness.devices.process import ChildProcess
from harness.errors import FarmError
from harness.farm.hold import Held


def power_cycle(held: Held, deadline: Deadline) -> None:
    """FarmError: the place is not ours any more, labgrid cannot switch it, or it takes too long."""
    held.check()
    # Only who has acquired a place may switch it: the client is told to be our guard.
    host, _, user = held.holder.partition("/")
    process = ChildProcess(
        [
            *(sys.executable, "-m", "harness.farm.labgrid_client", "-x", held.coordinator),
            *("-p", held.place.name, "power", "cycle"),
        ],
        environment={**os.environ, "LG_HOSTNAME": host, "LG_USERNAME": user},
    )
    try:
        code = process.wait(deadline.remaining())
        said = process.output()
    finally:
        process.end()
    if code is None:
        raise FarmError(
            f"labgrid-client did not cycle the power of place {held.place.name} in {deadline.seconds:g} s"
        )
    if code != 0:
        last = said.splitlines()[-1] if said else f"exit code {code}"
        raise FarmError(f"labgrid-client cannot cycle the power of place {held.place.name}: {last}")
