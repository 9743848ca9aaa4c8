"""A program that behaves as Renode 1.16.1 was measured to, as far as the harness sees it.

Arguments, monitor, script, GDB server with its quirks, and serial socket are as measured; the processor is
the Unicorn library (a Cortex-M7) with a USART, a cycle counter and a memory protection unit around it. It
counts nothing: CYCCNT moves, but not by instructions.

`--play NAME` (before Renode's own arguments) plays one of the FAULTS. `--journal FILE` gets a line for each
thing done that Renode does not forgive.
"""

import os
import selectors
import socket
import sys
import time
from pathlib import Path

from gdb_server import GdbServer
from machine import Machine
from monitor import CommandError, Monitor, say

FAULTS = {
    "never-ready": "prints its banner and nothing more",
    "dies-at-start": "ends with exit code 1 before the machine is set up",
    "error-line": "the script fails as with a busy port; the process lives on",
    "one-port": "no GDB server is started",
    "mute": "the GDB server takes bytes and never answers",
    "ignores-interrupt": "0x03 is never answered",
    "dies-when-running": "the process ends at the first `c`",
    "load-fails": "LoadBinary prints an error and is acknowledged all the same",
    "load-flips-a-bit": "LoadBinary stores a wrong byte",
    "dump-writes-nothing": "DumpBinary prints nothing and writes no file",
    "reset-elsewhere": "a reset leaves the core one instruction further",
    "no-trap-after-reset": "`start` is not followed by S05",
    "ignores-quit": "neither quit nor end of file ends the process",
}
EXPECTED = ("--plain", "--disable-gui", "--console", "--hide-log", "--config")


def parse(arguments):
    own = {"--play": None, "--journal": None}
    while arguments and arguments[0] in own:
        own[arguments[0]] = arguments[1]
        arguments = arguments[2:]
    missing = [flag for flag in EXPECTED if flag not in arguments]
    commands = [arguments[i + 1] for i, word in enumerate(arguments) if word == "-e"]
    return own["--play"], own["--journal"], missing, commands


def main():
    fault, journal_path, missing, commands = parse(sys.argv[1:])
    assert fault is None or fault in FAULTS, fault

    def journal(line):
        if journal_path:
            with Path(journal_path).open("a") as file:
                file.write(line + "\n")

    if missing:
        journal(f"started without {' '.join(missing)}")
    for variable in ("HOME", "TMPDIR"):
        if "trainbench-emulator-" not in os.environ.get(variable, ""):
            journal(f"{variable} is shared with others")
    say("Renode, version 1.16.1.0 (stand-in)\n(monitor) ")
    if fault == "dies-at-start":
        sys.exit(1)
    machine = Machine(journal)
    monitor = Monitor(machine, fault, journal)
    try:
        if fault != "never-ready":
            time.sleep(0.05)
            for command in commands:
                monitor.execute(command)
    except CommandError as error:
        say(f"There was an error executing command '{error.command}'\n{error}\n")
    if fault != "never-ready":
        say(f"({monitor.machine_name or 'monitor'}) ")
    serve(machine, monitor, fault, journal)


def serve(machine, monitor, fault, journal):
    """One thread does everything: the processor runs in slices between looks at the sockets."""
    gdb = GdbServer(machine, monitor, fault, journal)
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin.fileno(), selectors.EVENT_READ, "stdin")
    for name, server in (("uart", monitor.uart_server), ("gdb", monitor.gdb_server)):
        if server is not None:
            selector.register(server, selectors.EVENT_READ, f"{name} server")
    terminal = None
    while True:
        due = gdb.seconds_until_due()
        wait = 0 if machine.busy else due
        for key, _ in selector.select(wait):
            if key.data == "stdin":
                data = os.read(key.fd, 4096)
                if fault != "ignores-quit" and (not data or b"quit" in data):
                    sys.exit(0)
                if not data:
                    selector.unregister(key.fd)
            elif key.data == "uart server":
                terminal = key.fileobj.accept()[0]
                selector.register(terminal, selectors.EVENT_READ, "uart")
                machine.usart.connect(terminal)
            elif key.data == "gdb server":
                connection = key.fileobj.accept()[0]
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ, "gdb")
                gdb.attach(connection)
            else:
                data = receive(key.fileobj)
                if not data:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                    if key.data == "gdb":
                        gdb.detach()
                elif key.data == "uart":
                    machine.usart.received(data)
                else:
                    gdb.receive(data)
        gdb.send_due()
        if machine.busy:
            stop = machine.run_slice()
            if stop:
                gdb.report(stop)


def receive(connection):
    try:
        return connection.recv(1 << 16)
    except ConnectionError:
        return b""


if __name__ == "__main__":
    main()
