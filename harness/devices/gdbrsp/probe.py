"""The debug probe: a debug port of 20 lines, one access port, and a memory interface that does the work."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Self

from pyocd.core.exceptions import ProbeError
from pyocd.probe.debug_probe import DebugProbe

from harness.devices.gdbrsp.client import RspClient
from harness.devices.gdbrsp.dialect import QEMU, Dialect
from harness.devices.gdbrsp.endpoint import connect, split_dialect
from harness.devices.gdbrsp.memory import GdbMemoryInterface

if TYPE_CHECKING:
    from pyocd.core.memory_interface import MemoryInterface
    from pyocd.coresight.ap import APAddressBase

LOG = logging.getLogger(__name__)

_DPIDR = 0x5BA02477
_CTRL_STAT = 4
_CSW, _BASE, _IDR = 0x00, 0xF8, 0xFC
_AP0 = {_CSW: 0x43000052, _BASE: 0xE00FF003, _IDR: 0x04770041}


class GdbRemoteProbe(DebugProbe):  # type: ignore[misc]
    """A probe whose target is an emulator's GDB server."""

    def __init__(
        self, name: str, open_connection: Callable[[], socket.socket], dialect: Dialect = QEMU
    ) -> None:
        super().__init__()
        self._name = name
        self._open_connection = open_connection
        self._dialect = dialect
        self._client: RspClient | None = None
        self._memory: GdbMemoryInterface | None = None
        self._protocol: DebugProbe.Protocol | None = None
        self._power = 0
        self._csw = _AP0[_CSW]

    @classmethod
    def at(cls, address: str) -> Self:
        """A probe for the server at `HOST:PORT`, `unix:PATH` or `fd:N`, with its dialect and a colon before
        it where that is not QEMU's; connects on open()."""
        dialect, place = split_dialect(address)
        return cls(address, lambda: connect(place), dialect)

    @classmethod
    def over(cls, connection: socket.socket, name: str, dialect: Dialect = QEMU) -> Self:
        """A probe over a socket already connected; it is the probe's from then on."""
        return cls(name, lambda: connection, dialect)

    @property
    def memory(self) -> GdbMemoryInterface:
        """The core's memory; raises ProbeError before open()."""
        if self._memory is None:
            raise ProbeError(f"the probe gdbrsp:{self._name} is not open")
        return self._memory

    @property
    def client(self) -> RspClient:
        """The open connection; raises ProbeError before open()."""
        if self._client is None:
            raise ProbeError(f"the probe gdbrsp:{self._name} is not open")
        return self._client

    vendor_name = "trainbench"
    supported_wire_protocols: Collection[DebugProbe.Protocol] = (
        DebugProbe.Protocol.DEFAULT,
        DebugProbe.Protocol.SWD,
    )
    capabilities = frozenset(
        {
            DebugProbe.Capability.MANAGED_AP_SELECTION,
            DebugProbe.Capability.MANAGED_DPBANKSEL,
            DebugProbe.Capability.BANKED_DP_REGISTERS,
        }
    )

    @property
    def product_name(self) -> str:
        return f"{self._dialect.name} GDB server"

    @property
    def unique_id(self) -> str:
        return self._name

    @property
    def wire_protocol(self) -> DebugProbe.Protocol | None:
        return self._protocol

    @property
    def is_open(self) -> bool:
        return self._client is not None

    def open(self) -> None:
        client = RspClient(self._open_connection(), self._dialect)
        try:
            client.open()
            self._memory = GdbMemoryInterface(client)
        except BaseException:
            client.close()
            raise
        self._client = client
        if self.session is not None:
            # A breakpoint instruction never reaches the debugger of an emulator: the firmware would fault.
            self.session.options.set("soft_bkpt_as_hard", True)

    def close(self) -> None:
        client, memory = self._client, self._memory
        self._client = self._memory = None
        if client is None or memory is None:
            return
        try:
            if not client.broken:
                memory.release()
        except ProbeError as error:  # it ended, and its breakpoints with it
            LOG.debug("gdbrsp:%s: breakpoints could not be removed: %s", self._name, error)
        finally:
            client.close()

    def connect(self, protocol: DebugProbe.Protocol | None = None) -> None:
        self._protocol = DebugProbe.Protocol.SWD

    def disconnect(self) -> None:
        self._protocol = None

    def set_clock(self, frequency: float) -> None:
        """No wire, no clock."""

    def reset(self) -> None:
        raise ProbeError("an emulator has no reset pin; use a software reset")

    def assert_reset(self, asserted: bool) -> None:
        if asserted:
            self.reset()

    def is_reset_asserted(self) -> bool:
        return False

    def read_dp(self, addr: int, now: bool = True) -> int | Callable[[], int]:
        # Power-up requests (bits 30, 28) are acknowledged at once (bits 31, 29).
        value = {0: _DPIDR, _CTRL_STAT: self._power | (self._power & 0x50000000) << 1}.get(addr & 0xF, 0)
        return value if now else lambda: value

    def write_dp(self, addr: int, data: int) -> None:
        if addr & 0xF == _CTRL_STAT:
            self._power = data & 0x50000000

    def read_ap(self, addr: int, now: bool = True) -> int | Callable[[], int]:
        register = addr & 0xFF
        value = (_AP0 | {_CSW: self._csw}).get(register, 0) if addr >> 24 == 0 else 0
        return value if now else lambda: value

    def write_ap(self, addr: int, data: int) -> None:
        if addr >> 24 == 0 and addr & 0xFF == _CSW:
            self._csw = data | 0x40  # DeviceEn is read-only
        else:
            raise ProbeError(f"access port register {addr:#x} cannot be written over a GDB connection")

    def read_ap_multiple(
        self, addr: int, count: int = 1, now: bool = True
    ) -> Sequence[int] | Callable[[], Sequence[int]]:
        raise ProbeError("access port block transfers do not exist over a GDB connection")

    def write_ap_multiple(self, addr: int, values: Sequence[int]) -> None:
        raise ProbeError("access port block transfers do not exist over a GDB connection")

    def get_memory_interface_for_ap(self, ap_address: APAddressBase) -> MemoryInterface | None:
        return self._memory if ap_address.apsel == 0 else None
