"""Runs the parts of a paper suite. A part that fails leaves its reason, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from engine.errors import EngineError
from harness.paper.parts import Part
from harness.paper.request import PaperRequest
from harness.results.document import RunDocument
from harness.results.store import file_name, load_documents
from harness.run.builds import Builds
from harness.run.runner import BUILD_FOLDER, Request, Watcher, run_suite
from harness.study.candidates import StudyError
from harness.study.plan import make_plan
from harness.study.protocol import FINAL_FOLDER, run_study
from harness.study.variants import Options
from harness.suite import Study

CANNOT = (EngineError, StudyError)
"""What one method can do to a run: it does not compile, or trains at no learning rate."""


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
    warnings: tuple[str, ...] = ()

    def paths(self, documents: Sequence[RunDocument], root: Path) -> tuple[str, ...]:
        """Of `documents`, relative to `root`."""
        folder = self.folder.relative_to(root)
        return tuple(
            (folder / file_name(run.suite, run.target, run.method, run.seed)).as_posix() for run in documents
        )


def run_paper(
    request: PaperRequest, watcher: Watcher, say: Callable[[str], None] = lambda text: None
) -> tuple[PartResult, ...]:
    """Run what is not finished in the request's folder. `say` hears which part is next, and its size.

    Raises UsageError and ToolMissingError, which are about the whole run, and JobCrashed for a bug.
    """
    builds = Builds(request.out / BUILD_FOLDER)
    results = []
    for number, part in enumerate(request.parts, 1):
        about = ", ".join(name for name in (part.network, part.dataset) if name)
        say(f"part {number} of {len(request.parts)}: {about}, {part.protocol}")
        if part.study is None:
            run = partial(_run_costs, watcher=watcher, builds=builds)
            folder = part.request.out
        else:
            run = partial(_run_accuracies, study=part.study, watcher=watcher, say=say)
            folder = part.request.out / FINAL_FOLDER
        methods, warnings = _run_methods(part.request, run)
        results.append(PartResult(part, folder, methods, tuple(dict.fromkeys(warnings))))
    return tuple(results)


Found = tuple[Sequence[RunDocument], Sequence[str]]
"""Run documents, and what to know about them."""
Run = Callable[[Request], Found]


def _run_methods(request: Request, run: Run) -> tuple[tuple[MethodResult, ...], tuple[str, ...]]:
    """All methods together; where one of them stops the run, each on its own, so that the others are run.

    Beside the results, what is to be known about them.
    """
    try:
        documents, warnings = run(request)
    except CANNOT as error:
        if len(request.methods) == 1:
            return (MethodResult(request.methods[0].name, (), str(error)),), ()
        alone = [_run_methods(replace(request, methods=(method,)), run) for method in request.methods]
        return (
            tuple(result for results, _ in alone for result in results),
            tuple(warning for _, warnings in alone for warning in warnings),
        )
    results = (
        MethodResult(method.name, tuple(found for found in documents if found.method == method.name))
        for method in request.methods
    )
    return tuple(results), tuple(warnings)


def _run_costs(request: Request, watcher: Watcher, builds: Builds) -> Found:
    return run_suite(request, watcher, builds), ()


def _run_accuracies(request: Request, study: Study, watcher: Watcher, say: Callable[[str], None]) -> Found:
    """Rates chosen on the validation part, then tested; the documents of the final training."""
    options = Options((request.suite.rounding,), (request.suite.gradient,))
    plan = make_plan(request, options, (), study)
    warnings = run_study(plan, watcher, say).warnings
    wanted = {method.name for method in request.methods}
    found = [run for run in load_documents(request.out / FINAL_FOLDER) if run.method in wanted]
    return found, warnings
