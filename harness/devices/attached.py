"""What of boards is on this machine, told without pyOCD: it takes seconds to load and touches all probes."""

from __future__ import annotations

from pathlib import Path

_PROBE_VENDORS = (0x0483, 0x0D28, 0x1366)
"""USB vendor IDs of ST-Link, DAPLink and J-Link."""


def attached_probes() -> list[str]:
    """USB serial numbers of debug probes with a serial port, sorted."""
    from serial.tools import list_ports

    found = {port.serial_number for port in list_ports.comports() if port.vid in _PROBE_VENDORS}
    return sorted(number for number in found if number)


def pack_file(pack: str, root: Path | None = None) -> str | None:
    """The newest file of an installed CMSIS pack, `VENDOR.NAME`; None where `pyocd pack install` put none.

    `root`: where packs are; None: where pyOCD keeps them.
    """
    if root is None:
        from cmsis_pack_manager import Cache

        root = Path(Cache(True, True).data_path)
    vendor, _, name = pack.partition(".")
    files = sorted((root / vendor / name).glob("*.pack"))
    return str(files[-1]) if files else None
