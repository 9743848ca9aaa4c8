"""Child processes that never outlive us: own process group, killed with their parent, always reaped."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress

from harness.errors import DeviceError, ToolMissingError

_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl
_TAIL = 4096
KILL_WAIT = 5.0
"""Seconds within which the kernel ends a process after SIGKILL."""


class ChildProcess:
    """A running program. Its standard output and error go to a private file, of which the end can be read.

    The kernel kills it when the *thread* that started it ends, so a device is opened by a thread that lives
    at least as long as the device.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        reads: bool = False,
        stream: int | None = None,
    ) -> None:
        """`environment`: None for ours. `reads`: its standard input is a pipe that is held open for `say`.
        `stream`: a descriptor that becomes its standard input and output; only its errors are kept then.
        """
        self.name = os.path.basename(argv[0])  # noqa: PTH119 - a program name, not a path of ours
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        parent = os.getpid()

        def die_with_parent() -> None:
            _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

        try:
            self._process = subprocess.Popen(
                argv,
                stdin=stream if stream is not None else subprocess.PIPE if reads else subprocess.DEVNULL,
                stdout=self._log if stream is None else stream,
                stderr=self._log,
                pass_fds=pass_fds,
                env=None if environment is None else dict(environment),
                process_group=0,
                preexec_fn=die_with_parent,
            )
        except FileNotFoundError as error:
            self._log.close()
            raise ToolMissingError(f"the program {argv[0]} was not found") from error
        except OSError as error:
            self._log.close()
            raise DeviceError(f"{argv[0]} cannot be started: {error.strerror}") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """Exit code, negative signal number, or None while the program runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Like poll(), but gives the program `seconds` to end."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the program; nothing happens when it has ended already."""
        self._process.send_signal(number)

    def say(self, line: str) -> None:
        """Write a line to the program's standard input; nothing happens when it does not listen any more."""
        pipe = self._process.stdin
        if pipe is None:
            raise DeviceError(f"{self.name} was started without an input to write to")
        try:
            pipe.write(f"{line}\n".encode())
            pipe.flush()
        except OSError:
            self.poll()

    def end(self, grace: float = 0.0) -> None:
        """End the process group and reap it: SIGTERM and `grace` seconds first, if any, then SIGKILL."""
        if grace > 0.0 and self.poll() is None:
            self._signal_group(signal.SIGTERM)
            self.wait(grace)
        if self._process.returncode is None:
            self._signal_group(signal.SIGKILL)
            if self.wait(KILL_WAIT) is None:
                raise DeviceError(
                    f"{self.name} (process {self.pid}) did not end {KILL_WAIT:g} s after SIGKILL"
                )
        if self._process.stdin is not None:
            with suppress(OSError):  # what it did not read any more
                self._process.stdin.close()
        if not self._log.closed:
            self._last_output = self.output()
            self._log.close()

    _last_output = ""

    def output(self, most: int = _TAIL) -> str:
        """The last 4 KB of what the program printed, or `most` bytes of it while it was not ended."""
        if self._log.closed:
            return self._last_output
        size = os.fstat(self._log.fileno()).st_size
        start = max(0, size - most)
        return os.pread(self._log.fileno(), size - start, start).decode("utf-8", "replace").strip()

    def how_it_ended(self) -> str:
        """One clause, such as `qemu-system-arm was ended by SIGKILL`; for a program that has ended."""
        code = self.poll()
        if code is None:
            return f"{self.name} still runs"
        if code < 0:
            return f"{self.name} was ended by {signal_name(-code)}"
        return f"{self.name} ended with exit code {code}"

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            self.poll()


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
