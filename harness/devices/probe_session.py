"""A pyOCD session over a debug connection, with our target's memory map."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from pyocd.core.memory_map import MemoryMap, RamRegion
from pyocd.core.session import Session
from pyocd.coresight.coresight_target import CoreSightTarget
from pyocd.probe.debug_probe import DebugProbe
from pyocd.target import TARGET, normalise_target_type_name

from harness.targets import Region, Target


def memory_map(regions: tuple[Region, ...]) -> MemoryMap:
    """Every region as RAM: an emulator's flash is written like RAM, so no flash algorithm is needed."""
    return MemoryMap(*(RamRegion(name=r.name, start=r.start, length=r.size, access="rwx") for r in regions))


def register_target(target: Target) -> str:
    """Make the target known to pyOCD; returns the name it has there."""
    regions = target.regions

    class TrainbenchTarget(CoreSightTarget):  # type: ignore[misc]
        VENDOR = "trainbench"

        def __init__(self, session: Session) -> None:
            super().__init__(session, memory_map(regions))

    name: str = normalise_target_type_name(f"trainbench_{target.name}")
    TARGET[name] = TrainbenchTarget
    return name


def quiet_log() -> None:
    """pyOCD's warnings repeat what our errors say."""
    log = logging.getLogger("pyocd")
    if log.level == logging.NOTSET:
        log.setLevel(logging.ERROR)


def open_session(target: Target, probe: DebugProbe) -> Session:
    """Connect and halt. The caller closes the probe.

    A session changes the working directory to `project_dir` and runs scripts it finds there; it is kept from
    both by naming the directory we are in and an empty script.
    """
    quiet_log()
    options: dict[str, Any] = {
        "project_dir": str(Path.cwd()),
        "no_config": True,
        "user_script": os.devnull,
        "target_override": register_target(target),
        "connect_mode": "halt",
        "resume_on_disconnect": False,
        "reset.post_delay": 0.0,
        "hide_programming_progress": True,
    }
    session = Session(probe, auto_open=False, options=options)
    session.open()
    return session
