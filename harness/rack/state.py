"""Where locks and the quarantine list are: one folder for all users of the same boards."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "TRAINBENCH_STATE"


def state_folder() -> Path:
    """$TRAINBENCH_STATE, or `trainbench` in the user's state folder ($XDG_STATE_HOME, ~/.local/state)."""
    if given := os.environ.get(VARIABLE):
        return Path(given).expanduser().absolute()
    root = os.environ.get("XDG_STATE_HOME")
    return (Path(root) if root else Path.home() / ".local" / "state") / "trainbench"
