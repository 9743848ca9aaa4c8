"""Target memory and registers over a client: chunking, pipelining, and the truth about unmapped addresses."""

from __future__ import annotations

from collections.abc import Iterator

from pyocd.core.exceptions import ProbeError, TransferFaultError

from harness.devices.gdbrsp.bulk import Bulk
from harness.devices.gdbrsp.client import RspClient, expect_ok
from harness.devices.gdbrsp.features import Register
from harness.devices.gdbrsp.special import read_special

SYSTEM_SPACE = range(0xE0000000, 0xE0100000)
"""The private peripheral bus of ARMv7-M and ARMv8-M."""
PERIPHERALS = range(0x40000000, 0x60000000)
"""The architecture's peripheral region: reads have side effects there."""
_MPU_CTRL = 0xE000ED94


class TargetAccess:
    """Reads and writes of bytes and registers, while the target runs or stands."""

    def __init__(self, client: RspClient) -> None:
        self.client = client
        self._chunk = (client.packet_size - 32) // 2 & ~3
        self._physical: bool | None = None
        self.bulk: Bulk | None = None

    def read(self, address: int, length: int) -> bytes:
        """Bytes at `address`; raises TransferFaultError where nothing is mapped."""
        bulk = self.bulk.read(address, length) if self.bulk else None
        if bulk is not None:
            return bulk
        with self.client.paused():
            self._select(physical=False)
            chunks = list(self._chunks(address, length))
            replies = self.client.requests(b"m%x,%x" % chunk for chunk in chunks)
            return b"".join(self._read_reply(*pair) for pair in zip(chunks, replies, strict=True))

    def write(self, address: int, data: bytes) -> None:
        """Store bytes; raises TransferFaultError where nothing is mapped."""
        if self.bulk and self.bulk.write(address, data):
            return
        with self.client.paused():
            if self._is_memory(address):
                self._check_mapped(address, len(data))
            self._select(physical=True)
            packets = (
                self._store(at, data[at - address : at - address + size])
                for at, size in self._chunks(address, len(data))
            )
            for (at, size), reply in zip(
                self._chunks(address, len(data)), self.client.requests(packets), strict=True
            ):
                if reply != b"OK":
                    raise _fault(at, size, reply)

    def read_register(self, name: str) -> int | None:
        """Value of a core register of a stopped target; None when the server does not offer it."""
        register = self._register(name)
        if register is not None:
            return int.from_bytes(self._fetch(name, register), "little")
        return read_special(self, self.client.step, name) if self.client.dialect.lends_core else None

    def read_code(self, address: int, length: int) -> bytes:
        """Bytes as the CPU sees them, of a stopped core; none where it sees nothing."""
        self._select(physical=False)
        return _unhex(self.client.request(b"m%x,%x" % (address, length)))

    def write_code(self, address: int, data: bytes) -> None:
        """Store bytes where the CPU sees them, read-only memory too."""
        self._select(physical=False)
        packet = b"M%x,%x:%b" % (address, len(data), data.hex().encode())
        expect_ok([self.client.request(packet)], f"to change the code at {address:#010x}")

    def write_register(self, name: str, value: int) -> bool:
        """Set a core register; False when the server does not offer it."""
        register = self._register(name)
        if register is None:
            return False
        size = register.size or len(self._fetch(name, register))
        digits = value.to_bytes(size, "little").hex().encode()
        expect_ok([self.client.request(b"P%x=%b" % (register.number, digits))], f"to write register {name}")
        return True

    def _register(self, name: str) -> Register | None:
        """A server with an `inactive_sp` has no msp and psp: one of them is `sp`, the other is that."""
        registers = self.client.registers
        if name in ("msp", "psp") and "inactive_sp" in registers:
            return registers["sp" if name == self._active_stack() else "inactive_sp"]
        return registers.get(name)

    def _active_stack(self) -> str:
        """Handlers use msp; threads do too unless CONTROL.SPSEL says otherwise (ARMv7-M ARM, B1.4.1)."""
        control, status = self.read_register("control"), self.read_register("xpsr")
        return "psp" if (control or 0) & 2 and not (status or 0) & 0x1FF else "msp"

    def _fetch(self, name: str, register: Register) -> bytes:
        reply = self.client.request(b"p%x" % register.number)
        value = _unhex(reply)
        if len(value) != register.size and not (register.size is None and len(value) in (1, 2, 4)):
            raise ProbeError(f"the GDB server answered {reply!r} for register {name}")
        return value

    def _store(self, address: int, data: bytes) -> bytes:
        if self.client.dialect.binary_writes:
            return b"X%x,%x:%b" % (address, len(data), data)
        return b"M%x,%x:%b" % (address, len(data), data.hex().encode())

    def _chunks(self, address: int, length: int) -> Iterator[tuple[int, int]]:
        for offset in range(0, length, self._chunk):
            yield address + offset, min(self._chunk, length - offset)

    def _read_reply(self, chunk: tuple[int, int], reply: bytes) -> bytes:
        address, size = chunk
        data = _unhex(reply)
        if len(data) == size:
            return data
        if not self._mpu_hides(address, size):
            raise _fault(address, size, reply)
        self._select(physical=True)
        data = _unhex(self.client.request(b"m%x,%x" % chunk))
        self._select(physical=False)
        if len(data) != size:
            raise _fault(address, size, reply)
        return data

    def _check_mapped(self, address: int, length: int) -> None:
        """Writes to nowhere succeed on some servers: read one byte of each chunk, and the last, first."""
        if not self.client.dialect.unmapped_writes_succeed or length == 0:
            return
        self._select(physical=False)
        places = [at for at, _ in self._chunks(address, length)] + [address + length - 1]
        replies = self.client.requests(b"m%x,1" % at for at in places)
        for at, reply in zip(places, replies, strict=True):
            if len(_unhex(reply)) != 1 and not self._mpu_hides(at, 1):
                raise _fault(at, 1, reply)

    def _mpu_hides(self, address: int, size: int) -> bool:
        """Whether memory the CPU may not see exists: the MPU forbids it to the firmware, not to us."""
        dialect = self.client.dialect
        if dialect.probe_command is None or not self._is_memory(address):
            return False
        if not int.from_bytes(_unhex(self.client.request(b"m%x,4" % _MPU_CTRL)), "little") & 1:
            return False
        return all(
            dialect.probe_failure not in self.client.monitor(dialect.probe_command.format(address=at))
            for at in (address, address + size - 1)
        )

    def _is_memory(self, address: int) -> bool:
        return address not in SYSTEM_SPACE and address not in PERIPHERALS

    def _select(self, *, physical: bool) -> None:
        prefix = self.client.dialect.physical_memory
        if prefix is not None and physical != self._physical:
            expect_ok([self.client.request(prefix + b"%d" % physical)], "to switch its view of memory")
            self._physical = physical


def _unhex(reply: bytes) -> bytes:
    """Data of a reply; empty for an error reply, whose odd length (`E14`) is no hexadecimal."""
    try:
        return bytes.fromhex(reply.decode("ascii"))
    except ValueError:
        return b""


def _fault(address: int, length: int, reply: bytes) -> TransferFaultError:
    return TransferFaultError(f"server answered {reply!r}", fault_address=address, length=length)
