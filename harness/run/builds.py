"""Compiled methods and their firmware, shared by the runs of one process: what is equal is built once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.run.execute import Prepared


@dataclass(frozen=True)
class Builds:
    """What is built in `folder`, by key. The key names everything that makes a firmware but the target."""

    folder: Path
    prepared: dict[str, Prepared] = field(default_factory=dict)

    def lacking(self, key: str, targets: tuple[str, ...], profile: bool) -> tuple[str, ...]:
        """Those of `targets` for which there is neither a firmware nor a reason why not."""
        found = self.prepared.get(key)
        if found is None:
            return targets
        return tuple(
            name
            for name in targets
            if name not in found.refused
            and (name not in found.firmware or (profile and name not in found.profiled))
        )

    def add(self, key: str, made: Prepared) -> None:
        """Keep `made`, beside what there is of the same key for other targets."""
        found = self.prepared.get(key)
        if found is not None:
            made = replace(
                made,
                firmware={**found.firmware, **made.firmware},
                profiled={**found.profiled, **made.profiled},
                refused={**found.refused, **made.refused},
            )
        self.prepared[key] = made

    def folder_of(self, key: str, name: str) -> Path:
        """`name` made readable, and distinct for distinct keys: a scheme may be a path."""
        readable = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(name).name)
        return self.folder / f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def build_key(parts: Mapping[str, object]) -> str:
    """One text for equal parts, whatever their order."""
    return "\n".join(f"{name} {parts[name]}" for name in sorted(parts))
