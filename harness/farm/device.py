"""A board at a place of the farm as a device: its debugger and serial line, wherever the exporter runs."""

from __future__ import annotations

from importlib.metadata import version

from pyocd.core.exceptions import Error as PyocdError

from harness.deadline import Deadline
from harness.devices.base import Device, Diagnosis
from harness.devices.emulated import EmulatedDevice
from harness.devices.gdbrsp.endpoint import split_dialect
from harness.devices.gdbrsp.probe import GdbRemoteProbe
from harness.devices.probe_session import open_session
from harness.errors import FarmError
from harness.farm.access import Access, access_of
from harness.farm.board import FarmBoard
from harness.farm.hold import Held
from harness.farm.lines import connect, hung_up
from harness.targets import Target

GDBRSP = "gdbrsp:"
ENDED = "its emulator ended, or the machine that it runs on is gone"


def open_place(target: Target, held: Held, deadline: Deadline, recover: bool = False) -> Device:
    """The board at a place that is held. FarmError: it cannot be reached. DeviceError: it does not start.

    `recover`: after a transport error, the power of a board is cycled, where the place has what switches it.
    """
    access = access_of(held.place)
    emulated = isinstance(access.probe, str) and access.probe.startswith(GDBRSP)
    if target.driver == "qemu" and emulated:
        return FarmEmulator(target, held, access, deadline)
    if target.driver == "board" and not emulated:
        return FarmBoard(target, held, access, deadline, recover)
    place = f"place {held.place.name} is of target {target.name}"
    if target.driver not in ("qemu", "board"):
        raise FarmError(f"{place}; at places go QEMU's targets and boards")
    fitting = "a gdbrsp: probe, of an emulator" if target.driver == "qemu" else "the probe of a board"
    raise FarmError(f"{place}, which needs {fitting}, but it has {_words(access)}")


def _words(access: Access) -> str:
    if isinstance(access.probe, str):
        return f"the probe {access.probe}"
    return f"a USB debugger at {access.probe.path} of {access.probe.machine}"


class FarmEmulator(EmulatedDevice):
    """An emulator on another machine, which starts it for our two connections, and ends it after them."""

    def __init__(self, target: Target, held: Held, access: Access, deadline: Deadline) -> None:
        super().__init__(target)
        self._held = held
        self.name = f"{target.name} at place {held.place.name}"
        assert isinstance(access.probe, str)
        address = access.probe.removeprefix(GDBRSP)
        if access.serial.protocol != "raw" or access.serial.proxy is not None:
            raise FarmError(
                f"place {held.place.name}: the serial line of an emulator has to be `protocol: raw`, and its"
                " exporter not isolated"
            )
        self._line = connect(access.serial, deadline, held.place.name)
        self._serial.attach(self._line)
        self._probe = GdbRemoteProbe.at(address)
        try:
            with self._talking(deadline, "starting"):
                self._session = open_session(target, self._probe)
                emulator = self._probe.client.monitor("info version").strip()
        except BaseException:
            self.close()
            raise
        self.versions = {
            "qemu": emulator,
            "pyocd": version("pyocd"),
            "farm_place": held.place.name,
            "farm_exporter": held.place.exporters,
            "farm_probe": split_dialect(address)[1],
        }

    @property
    def pid(self) -> int:
        raise FarmError(f"{self.name} runs on another machine")

    def close(self) -> None:
        try:
            self._probe.close()
        except (PyocdError, OSError):  # the other side is gone already
            return
        finally:
            self._serial.close()

    def _prepare_load(self) -> None:
        self.core.reset_and_halt()

    def _ended(self, seconds: float) -> Diagnosis | None:
        """Whether the other side has hung up, or the place was lost."""
        why = self._held.gone(seconds, lambda: ENDED if hung_up(self._line) else None)
        return None if why is None else Diagnosis("exited", why)

    def _exited(self) -> Diagnosis:
        return Diagnosis("exited", ENDED)
