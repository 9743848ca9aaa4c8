"""Peak SRAM of schemes by the compiler's own plan, kept on disk and worked out in parallel.

Peak SRAM is state + arena + what the plan does not know: the stack and a few static bytes. They hardly depend
on the scheme, and are measured where there is a target to measure on.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from engine.compiler import CompileOptions
from engine.frontends import load_backbone
from engine.frontends.backbone import Backbone
from engine.search.costs import PlannedBytes, planned_bytes
from engine.search.space import Choice
from harness.provenance import inputs_digest, source_digest
from harness.results.store import write_atomically
from harness.run.workers import Job, Report
from harness.search.pool import Pool

OVERHEAD = 1024
"""Bytes of stack and static data: 1 020 were measured on qemu-mps2-an500 (docs/search.md)."""

FILE = "planned.json"
_CHUNK = 4
"""Schemes a job: starting a process takes as long as planning a few."""


@dataclass(frozen=True)
class Plans:
    """State and arena of schemes; `overhead` is added to make a peak. out: folder of the search."""

    backbone: Path
    model_digest: str
    options: CompileOptions
    out: Path
    pool: Pool
    known: dict[Choice, PlannedBytes]

    def peaks(self, choices: Sequence[Choice], budget: int, overhead: int) -> list[int]:
        """Peak SRAM of each; one above `budget` may be a lower bound."""
        room = budget - overhead
        self._plan([choice for choice in choices if not self._is_known(choice, room)], room)
        return [self.known[choice].total + overhead for choice in choices]

    def exact(self, choice: Choice) -> PlannedBytes:
        """State and arena as the compiler plans them."""
        found = self.known.get(choice)
        if found is None or not found.exact:
            self.known[choice] = planned_bytes(choice, _backbone(self.backbone), self.options)
        return self.known[choice]

    def save(self) -> None:
        """Keep what is known for another search in the same folder."""
        entries = [
            [choice.depth, choice.weights, found.state, found.arena, found.exact]
            for choice, found in sorted(self.known.items(), key=lambda item: item[0])
        ]
        text = json.dumps({"digest": self._digest(), "plans": entries}, separators=(",", ":"))
        write_atomically(self.out / FILE, text + "\n")

    def load(self) -> None:
        """Take over what was kept, if it was planned from the same inputs by the same sources."""
        try:
            kept = json.loads((self.out / FILE).read_text(encoding="utf-8"))
            if kept["digest"] != self._digest():
                return
            for depth, weights, state, arena, exact in kept["plans"]:
                choice = Choice(int(depth), tuple((int(layer), float(ratio)) for layer, ratio in weights))
                self.known[choice] = PlannedBytes(int(state), int(arena), bool(exact))
        except (OSError, ValueError, KeyError, TypeError):
            # Planned again: a file that is missing or broken holds nothing that cannot be had again.
            self.known.clear()

    def _is_known(self, choice: Choice, room: int) -> bool:
        found = self.known.get(choice)
        return found is not None and (found.exact or found.total > room)

    def _plan(self, choices: Sequence[Choice], room: int) -> None:
        size = max(_CHUNK, -(-len(choices) // self.pool.parallel))
        chunks = [tuple(choices[first : first + size]) for first in range(0, len(choices), size)]
        call = partial(_plan_chunk, self.backbone, self.options, room)
        if len(chunks) < 2:
            for chunk in chunks:
                self.known.update(call(chunk))
            return
        jobs: list[Job[dict[Choice, PlannedBytes]]] = [
            Job(f"planning {len(chunk)} schemes", partial(_as_job, call, chunk)) for chunk in chunks
        ]
        with closing(self.pool.run(jobs)) as outcomes:  # type: ignore[type-var]
            for outcome in outcomes:
                self.known.update(outcome.unwrap())

    def _digest(self) -> str:
        return inputs_digest(
            {
                "model": self.model_digest,
                "options": asdict(self.options),
                "sources": source_digest(folders=("engine",)),
            }
        )


def _plan_chunk(
    backbone: Path, options: CompileOptions, room: int, choices: tuple[Choice, ...]
) -> dict[Choice, PlannedBytes]:
    network = _backbone(backbone)
    return {choice: planned_bytes(choice, network, options, enough=room) for choice in choices}


def _as_job(
    call: partial[dict[Choice, PlannedBytes]], chunk: tuple[Choice, ...], report: Report
) -> dict[Choice, PlannedBytes]:
    return call(chunk)


@functools.lru_cache(maxsize=1)
def _backbone(path: Path) -> Backbone:
    return load_backbone(path)
