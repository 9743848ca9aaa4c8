"""What pyOCD finds under the entry point `pyocd.probe`; the probe itself is imported on first use.

A plugin that fails to import breaks `import pyocd` for everybody on the machine, so nothing else lives here.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyocd.core.plugin import Plugin
from pyocd.probe.debug_probe import DebugProbe


class GdbRemoteProbes(DebugProbe):  # type: ignore[misc]
    """Finds probes by name for pyOCD's aggregator. Emulators are never listed, only named in full."""

    @classmethod
    def get_all_connected_probes(
        cls, unique_id: str | None = None, is_explicit: bool = False
    ) -> Sequence[DebugProbe]:
        probe = cls.get_probe_with_id(unique_id, is_explicit) if unique_id else None
        return [probe] if probe is not None else []

    @classmethod
    def get_probe_with_id(cls, unique_id: str, is_explicit: bool = False) -> DebugProbe | None:
        if not is_explicit:
            return None
        from harness.devices.gdbrsp.probe import GdbRemoteProbe

        return GdbRemoteProbe.at(unique_id)


class GdbRemotePlugin(Plugin):  # type: ignore[misc]
    """`pyocd cmd -u gdbrsp:HOST:PORT`, `gdbrsp:unix:PATH`, `gdbrsp:fd:N`; `gdbrsp:renode:HOST:PORT`."""

    @property
    def name(self) -> str:
        return "gdbrsp"

    @property
    def description(self) -> str:
        return "Emulators with a GDB remote protocol server (QEMU, Renode)"

    def load(self) -> type[DebugProbe]:
        return GdbRemoteProbes
