"""The Renode program: started headless in a private home; ready once its machine is set up.

How Renode behaves here, on version 1.16.1: docs/renode.md.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import NoReturn

import psutil

from harness.deadline import Deadline
from harness.devices.availability import RENODE_HINT
from harness.devices.listening import listening_ports
from harness.devices.process import ChildProcess
from harness.errors import DeviceError, DeviceGone, DeviceHang, ToolMissingError
from harness.targets import RenodeStart, Target

PROGRAM = "renode"
QUIT_SECONDS = 2.0
_FAILURE = "There was an error executing command"
_READY = "READY"
_POLL_SECONDS = 0.02
_ALL = 1 << 20


class RenodeProcess(ChildProcess):
    """Renode with the machine of `start`, which does not run yet. `serial_port` and `debug_port` listen.

    Raises ToolMissingError, DeviceError when Renode refuses the script, DeviceGone when it ends, DeviceHang.
    """

    serial_port: int
    debug_port: int

    def __init__(self, target: Target, start: RenodeStart, deadline: Deadline) -> None:
        program = shutil.which(PROGRAM)
        if program is None:
            raise ToolMissingError(
                f"target {target.name} needs {PROGRAM}, which is not installed; to get it: {RENODE_HINT}"
            )
        # Renode empties $TMPDIR of folders called renode-*, those of other instances too, and keeps files of
        # its own in $HOME: nothing of that is shared.
        self._home = tempfile.TemporaryDirectory(prefix="trainbench-emulator-", ignore_cleanup_errors=True)
        try:
            self.folder = _private_folder(Path(self._home.name))
            self._machine = start.machine
            for name in (start.script, start.platform):
                shutil.copyfile(target.folder / name, self.folder / name)
            environment = os.environ | {"TMPDIR": str(self.folder), "HOME": str(self.folder)}
            arguments = _arguments(program, self.folder, start)
            super().__init__(arguments, environment=environment, reads=True)
        except BaseException:
            self._home.cleanup()
            raise
        try:
            self._wait_until_ready(deadline)
            self.serial_port, self.debug_port = self._ports()
        except BaseException:
            self.end()
            raise

    def quit(self) -> None:
        """Ask Renode to end, and end it if it does not."""
        if self.poll() is None:
            self.say("quit")
            self.wait(QUIT_SECONDS)
        self.end()

    def end(self, grace: float = 0.0) -> None:
        try:
            super().end(grace)
        finally:
            self._home.cleanup()

    def _wait_until_ready(self, deadline: Deadline) -> None:
        prompt = f"({self._machine})"
        while True:
            # The prompt follows an error too, and a script that failed leaves Renode running.
            said = self.output(_ALL)
            if _FAILURE in said:
                self._refused(said)
            if _READY in said or prompt in said:
                return
            if self.poll() is not None:
                raise DeviceGone(f"{self.how_it_ended()} before its machine was set up{_last_line(said)}")
            if deadline.expired:
                raise DeviceHang(
                    f"timed out after {deadline.seconds:g} s while Renode sets up its machine"
                    f"{_last_line(said)}"
                )
            time.sleep(_POLL_SECONDS)

    def _refused(self, said: str) -> NoReturn:
        reason = " ".join(said[said.index(_FAILURE) :].split())
        raise DeviceError(f"Renode does not set up its machine: {reason[:300]}")

    def _ports(self) -> tuple[int, int]:
        try:
            ports = listening_ports(self.pid)
        except (psutil.Error, OSError) as error:
            raise DeviceGone(f"{self.how_it_ended()} once its machine was set up") from error
        if len(ports) != 2:
            found = ", ".join(map(str, ports)) or "none"
            raise DeviceError(
                f"Renode should listen on two ports, serial line and GDB server; it listens on: {found}"
            )
        return ports[0], ports[1]


def _arguments(program: str, folder: Path, start: RenodeStart) -> list[str]:
    return [
        *(program, "--plain", "--disable-gui", "--console", "--hide-log"),
        *("--config", str(folder / "config")),
        *("-e", "$uart=0; $gdb=0", "-e", f"include @{folder / start.script}"),
    ]


def _private_folder(folder: Path) -> Path:
    if re.search(r"\s", str(folder)):
        raise DeviceError(
            f"the folder for temporary files, {folder.parent}, has white space in its name, which Renode's "
            "commands do not take; set TMPDIR to another"
        )
    return folder


def _last_line(said: str) -> str:
    lines = said.splitlines()
    return f" (it last said: {lines[-1].strip()})" if lines else ""
