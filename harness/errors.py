"""Every error the harness raises on purpose: what is wrong, where, what was found instead, what to do."""


class HarnessError(Exception):
    """Base of all expected harness errors; the CLI prints the message and exits with code 2."""


class UsageError(HarnessError):
    """Bad input from the user: an unknown target, suite, method or option value."""


class TargetError(HarnessError):
    """A target folder that is missing or malformed."""


class ToolMissingError(HarnessError):
    """A program the job needs is not installed; the message says how to get it."""


class BuildError(HarnessError):
    """The firmware does not compile or link, or does not fit the target's memory."""


class DatasetError(HarnessError):
    """A dataset that is missing, broken or not in the format its name promises."""


class DeviceError(HarnessError):
    """Base of what goes wrong with a running target."""


class LoadError(DeviceError):
    """What was read back after loading differs from the ELF file."""


class DeviceFault(DeviceError):  # noqa: N818 - a fault is the field's word
    """The firmware faulted; the message names the kind of fault and the address."""


class DeviceHang(DeviceError):  # noqa: N818
    """The device did not answer in time and is not in a fault handler."""


class TransportError(DeviceError):
    """The way to a device broke, not what runs there: asked again, the same may succeed."""


class DeviceGone(TransportError):  # noqa: N818
    """The emulator or host process ended, or the probe connection broke."""


class LinkError(TransportError):
    """The serial link delivered garbage, or an answer that the protocol forbids."""


class FarmError(TransportError):
    """The board farm: no coordinator, no place that came free in time, a place that was lost."""


class MeterError(TransportError):
    """An energy meter that is not there, lost samples, or has marks that make no sense: no figure."""


class RackError(HarnessError):
    """A board of the rack that cannot be used: held by somebody, in quarantine, or not the right one."""


class MeasurementError(HarnessError):
    """A measurement that contradicts the plan or itself; no figure is printed."""


class ResultsError(HarnessError):
    """A run document or folder of them that is missing, broken or of another schema version."""


INFRASTRUCTURE = (TransportError, RackError, ToolMissingError)
"""Errors that say nothing of the trainer: what was to be measured was not reached."""
