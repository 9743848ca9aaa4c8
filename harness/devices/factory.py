"""From a target to a running device."""

from __future__ import annotations

from harness.deadline import Deadline
from harness.devices.base import Device
from harness.targets import Target


def open_device(target: Target, deadline: Deadline) -> Device:
    """Start what the target's driver needs. Use it in a `with` block: leaving it ends what was started.

    Raises ToolMissingError when a program is not installed, DeviceError when it does not start.
    """
    if target.driver == "native":
        from harness.devices.native import NativeDevice

        return NativeDevice(target)
    if target.driver == "renode":
        from harness.devices.renode import RenodeDevice

        return RenodeDevice(target, deadline)
    from harness.devices.qemu import QemuDevice

    return QemuDevice(target, deadline)
