"""Renode's monitor: the commands that the harness uses, from a script, from `-e` and from the GDB server."""

import re
import socket
import sys
from pathlib import Path


class CommandError(Exception):
    def __init__(self, command, reason):
        super().__init__(reason)
        self.command = command


def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def listen(port):
    return socket.create_server(("127.0.0.1", port))


class Monitor:
    def __init__(self, machine, fault, journal):
        self._machine = machine
        self._fault = fault
        self._journal = journal
        self._variables = {}
        self._macros = {}
        self._terminal = None
        self.machine_name = None
        self.uart_server = self.gdb_server = None

    def execute(self, line):
        """Run one line, or several with semicolons; returns what is printed."""
        return "".join(self._one(part.strip()) for part in line.split(";") if part.strip())

    def _one(self, line):
        for pattern, action in self._table():
            match = re.fullmatch(pattern, line)
            if match:
                return action(*match.groups()) or ""
        raise CommandError(line, f"No such command or device: {line.split()[0]}")

    def _table(self):
        machine = self._machine
        return (
            (r"\$(\w+)\?=(.*)", self._set_default),
            (r"\$(\w+)=(.*)", self._set),
            (r"include @(\S+)", self._include),
            (r'mach create "(\w+)"', lambda name: setattr(self, "machine_name", name)),
            (r"machine LoadPlatformDescription (\S+)", lambda path: machine.build(self._path(path))),
            (r"emulation SetGlobalQuantum (\S+)", lambda value: float(self._value(value)) and None),
            (r"emulation SetGlobalAdvanceImmediately true", lambda: None),
            (r"runMacro \$(\w+)", self._run_macro),
            (r"cpu VectorTableOffset (\S+)", lambda value: setattr(machine, "vtor", int(value, 0))),
            (r'emulation CreateServerSocketTerminal (\S+) "(\w+)" false', self._terminal_server),
            (r"connector Connect sysbus\.usart1 (\w+)", self._connect),
            (r"machine StartGdbServer (\S+) false", self._start_gdb),
            (r'log "(.*)"', lambda text: say(text + "\n")),
            (r"version", lambda: "Renode, version 1.16.1.0 (stand-in)\n"),
            (r"pause", machine.pause),
            (r"machine Reset", self._reset),
            (r"cpu ExecutionMode SingleStep", lambda: setattr(machine, "single_step", True)),
            (r"start", self._start),
            (r"cpu Reset", lambda: self._journal("cpu Reset leaves a core that cannot be recovered")),
            (r"sysbus LoadBinary @(\S+) (\S+)", self._load_binary),
            (r"sysbus\.(\w+) DumpBinary @(\S+) (\S+) (\S+)", self._dump_binary),
        )

    def _set(self, name, value):
        self._variables[name] = value.strip('"')

    def _set_default(self, name, value):
        self._variables.setdefault(name, value.strip('"'))

    def _value(self, text):
        return self._variables[text[1:]] if text.startswith("$") else text.strip('"')

    def _path(self, text):
        return Path(text.replace("$ORIGIN", str(self._origin)))

    def _include(self, path):
        self._origin = Path(path).parent
        lines = iter(Path(path).read_text().splitlines())
        for raw in lines:
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("macro "):
                body = []
                assert next(lines).strip() == '"""'
                for inner in lines:
                    if inner.strip() == '"""':
                        break
                    body.append(inner.strip())
                self._macros[line.split()[1]] = body
            else:
                self._one(line)

    def _run_macro(self, name):
        for line in self._macros[name]:
            self._one(line)

    def _terminal_server(self, port, name):
        if self._fault == "error-line":
            raise CommandError("emulation CreateServerSocketTerminal", "Address already in use")
        self.uart_server = listen(int(self._value(port)))
        self._terminal = name

    def _connect(self, name):
        if name != self._terminal:
            raise CommandError(f"connector Connect sysbus.usart1 {name}", "no such terminal")

    def _start_gdb(self, port):
        if self._fault != "one-port":
            self.gdb_server = listen(int(self._value(port)))

    def _reset(self):
        self._machine.reset()
        if "reset" in self._macros:
            self._run_macro("reset")

    def _start(self):
        if not self._machine.start(elsewhere=self._fault == "reset-elsewhere"):
            raise CommandError("start", "PC does not lie in memory")
        return "Starting emulation...\n"

    def _load_binary(self, path, address):
        if not self._machine.paused:
            self._journal("LoadBinary into a machine that is not paused was not measured")
        if self._fault == "load-fails":
            raise CommandError(f"sysbus LoadBinary @{path} {address}", "File does not exist")
        data = bytearray(Path(path).read_bytes())
        if self._fault == "load-flips-a-bit":
            data[len(data) // 2] ^= 4
        self._machine.write(int(address, 0), bytes(data))

    def _dump_binary(self, name, path, offset, size):
        start, length = self._machine.memories[name]
        if int(offset, 0) + int(size, 0) > length:
            raise CommandError(f"sysbus.{name} DumpBinary", "out of range")
        if self._fault != "dump-writes-nothing":
            Path(path).write_bytes(self._machine.read(start + int(offset, 0), int(size, 0)))
