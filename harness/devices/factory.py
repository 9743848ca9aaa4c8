"""From a target to a running device."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.deadline import Deadline
from harness.devices.base import Device
from harness.targets import Target

if TYPE_CHECKING:
    from harness.farm.hold import Held


def open_device(
    target: Target,
    deadline: Deadline,
    place: Held | None = None,
    board: str | None = None,
    recover: bool = False,
) -> Device:
    """Start what the target's driver needs. Use it in a `with` block: leaving it ends what was started.

    `place`: where at a farm the board is; None: on this machine. `board`: of the rack, this one and no other.
    `recover`: where a transport error ends the block, a board's power is cycled before it is given back, if
    the rack file or the place names a way. Raises ToolMissingError when a program is not installed,
    DeviceError when it does not start.
    """
    if place is not None:
        from harness.farm.device import open_place

        return open_place(target, place, deadline, recover)
    if target.driver == "native":
        from harness.devices.native import NativeDevice

        return NativeDevice(target)
    if target.driver == "renode":
        from harness.devices.renode import RenodeDevice

        return RenodeDevice(target, deadline)
    if target.driver == "board":
        from harness.devices.board import BoardDevice
        from harness.devices.probe_choice import PROBE_VARIABLE
        from harness.rack.file import find_rack

        probe = os.environ.get(PROBE_VARIABLE) or None
        return BoardDevice(target, deadline, find_rack(), probe, board, recover=recover)
    from harness.devices.qemu import QemuDevice

    return QemuDevice(target, deadline)
