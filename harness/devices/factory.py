"""From a target to a running device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.deadline import Deadline
from harness.devices.base import Device
from harness.targets import Target

if TYPE_CHECKING:
    from harness.farm.hold import Held


def open_device(target: Target, deadline: Deadline, place: Held | None = None) -> Device:
    """Start what the target's driver needs. Use it in a `with` block: leaving it ends what was started.

    `place`: where at a farm the board is; None: on this machine. Raises ToolMissingError when a program is
    not installed, DeviceError when it does not start.
    """
    if place is not None:
        from harness.farm.device import open_place

        return open_place(target, place, deadline)
    if target.driver == "native":
        from harness.devices.native import NativeDevice

        return NativeDevice(target)
    if target.driver == "renode":
        from harness.devices.renode import RenodeDevice

        return RenodeDevice(target, deadline)
    from harness.devices.qemu import QemuDevice

    return QemuDevice(target, deadline)
