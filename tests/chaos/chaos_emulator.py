"""Stands in PATH as `qemu-system-arm`: does what CHAOS_FAULT says, and becomes the real one.

It may put another firmware where the run's lies (nothing is loaded yet), or a proxy on the serial line: a
child of the emulator, in its process group, that ends with it.
"""

import contextlib
import json
import os
import random
import select
import signal
import socket
import sys
from pathlib import Path

SWAP, LINE, REAL = "swap", "line", "real"


class Striker:
    """Bytes in, bytes out, with one fault among them. None: nothing more comes this way."""

    def __init__(self, fault, emulator):
        self.fault, self.emulator = fault, emulator
        self.chance = random.Random(fault["seed"])
        self.passed, self.struck, self.closed = 0, False, False

    def through(self, data):
        kind, before = self.fault["kind"], self.passed
        self.passed += len(data)
        if kind == "noisy-line":
            return bytes(
                b ^ self.chance.randrange(1, 256) if self.chance.random() < self.fault["rate"] else b
                for b in data
            )
        if self.struck:
            return b"" if kind == "swallow-bytes" else data
        at = self.fault["at_byte"] - before
        if at > len(data):
            return data
        self.struck = True
        head, tail, count = data[:at], data[at:], self.fault["count"]
        if kind == "kill-emulator":
            os.kill(self.emulator, signal.SIGKILL)
        elif kind == "stop-emulator":
            os.kill(self.emulator, signal.SIGSTOP)
        elif kind == "drop-bytes":
            return head + tail[count:]
        elif kind == "corrupt-bytes":
            changed = bytes(byte ^ self.chance.randrange(1, 256) for byte in tail[:count])
            return head + changed + tail[count:]
        elif kind == "insert-bytes":
            return head + self.chance.randbytes(count) + tail
        elif kind == "swallow-bytes":
            return head
        elif kind == "close-line":
            self.closed = True
            return head
        return data


def relay(harness, device, fault, emulator):
    """Pass bytes on until either side has closed."""
    striker = Striker(fault, emulator)
    poll = select.poll()
    poll.register(harness, select.POLLIN)
    poll.register(device, select.POLLIN)
    while not striker.closed:
        for number, _ in poll.poll():
            source, sink = (harness, device) if number == harness.fileno() else (device, harness)
            data = source.recv(4096)
            if not data:
                return
            struck = (source is device) == fault["replies"] or fault["kind"] == "noisy-line"
            sink.sendall(striker.through(data) if struck else data)


def insert_proxy(arguments, fault):
    """The emulator's arguments with its serial line on our socket pair; the proxy runs when this returns."""
    import ctypes

    mark = "socket,id=link,fd="
    place = next(i for i, word in enumerate(arguments) if word.startswith(mark))
    far = int(arguments[place].removeprefix(mark))
    ours, emulators = socket.socketpair()
    emulator = os.getpid()
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        emulators.close()
        if os.getppid() == emulator:
            with contextlib.suppress(OSError):
                relay(socket.socket(fileno=far), ours, fault, emulator)
        os._exit(0)
    ours.close()
    os.close(far)
    os.set_inheritable(emulators.fileno(), True)
    number = emulators.detach()
    return [*arguments[:place], f"{mark}{number}", *arguments[place + 1 :]]


def main():
    told = json.loads(os.environ["CHAOS_FAULT"])
    arguments = sys.argv[1:]
    if told.get(SWAP):
        source, sink = map(Path, told[SWAP])
        sink.write_bytes(source.read_bytes())
    if told.get(LINE) and "-chardev" in arguments:
        arguments = insert_proxy(arguments, told[LINE])
    os.execv(told[REAL], ["qemu-system-arm", *arguments])


if __name__ == "__main__":
    main()
