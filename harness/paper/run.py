"""Runs the parts of a paper suite. A part that fails leaves its reason, and the others go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import EngineError
from harness.paper.parts import Part
from harness.paper.request import PaperRequest
from harness.results.document import RunDocument
from harness.results.store import file_name
from harness.run.builds import Builds
from harness.run.runner import BUILD_FOLDER, Watcher, run_suite
from harness.suite import Method


@dataclass(frozen=True)
class MethodResult:
    """What became of one method of a part: its run documents, or why there are none."""

    method: str
    documents: tuple[RunDocument, ...]
    failure: str = ""


@dataclass(frozen=True)
class PartResult:
    part: Part
    folder: Path
    """Where its run documents lie."""
    methods: tuple[MethodResult, ...]

    def paths(self, documents: Sequence[RunDocument], root: Path) -> tuple[str, ...]:
        """Of `documents`, relative to `root`."""
        folder = self.folder.relative_to(root)
        return tuple(
            (folder / file_name(run.suite, run.target, run.method, run.seed)).as_posix() for run in documents
        )


def run_paper(request: PaperRequest, watcher: Watcher) -> tuple[PartResult, ...]:
    """Run what is not finished in the request's folder.

    Raises UsageError and ToolMissingError, which are about the whole run, and JobCrashed for a bug.
    """
    builds = Builds(request.out / BUILD_FOLDER)
    return tuple(_run_costs(part, builds, watcher) for part in request.parts)


def _run_costs(part: Part, builds: Builds, watcher: Watcher) -> PartResult:
    methods = part.request.methods
    try:
        documents = run_suite(part.request, watcher, builds)
    except EngineError:
        # One of them does not compile: each on its own, so that the others are run all the same.
        results = [_run_alone(part, method, builds, watcher) for method in methods]
    else:
        results = [
            MethodResult(method.name, tuple(run for run in documents if run.method == method.name))
            for method in methods
        ]
    return PartResult(part, part.request.out, tuple(results))


def _run_alone(part: Part, method: Method, builds: Builds, watcher: Watcher) -> MethodResult:
    try:
        found = run_suite(replace(part.request, methods=(method,)), watcher, builds)
    except EngineError as error:
        return MethodResult(method.name, (), str(error))
    return MethodResult(method.name, tuple(found))
