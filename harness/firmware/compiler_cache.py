"""ccache in front of the compilers, where it is installed: most of a trainer is as it was in the last one.

It gives the object file that the same compiler made of the same text with the same flags, so a firmware is
the same with it and without it. The settings are ours, not the user's: none of its shortcuts is taken.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def compiler_prefix() -> tuple[str, ...]:
    """Words that go before a compiler's; none where ccache is not installed."""
    ccache = shutil.which("ccache")
    if ccache is None:
        return ()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    settings = {
        "CCACHE_DIR": str(base / "trainbench" / "ccache"),
        "CCACHE_CONFIGPATH": os.devnull,
        "CCACHE_COMPILERCHECK": "content",
        # Debug information does not name the folder of the build: the prefix maps take it out.
        "CCACHE_NOHASHDIR": "1",
        "CCACHE_MAXSIZE": "2G",
    }
    return ("env", *(f"{name}={value}" for name, value in settings.items()), ccache)
