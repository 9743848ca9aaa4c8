"""A whole run: keep what is finished, prepare each method, run the cells, hold the targets together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from engine.errors import EngineError
from fixtures.errors import FixtureError
from harness.errors import HarnessError
from harness.farm.hold import Farm
from harness.farm.scheduler import SharedGate, Slots
from harness.firmware.toolchain import find_compiler
from harness.provenance import inputs_digest, source_digest
from harness.rack.file import find_rack
from harness.rack.retries import Retry, at_fault, attempt, recovery
from harness.results.comparison import Options
from harness.results.document import Attempt, RunDocument
from harness.results.store import find_finished, save_document
from harness.run.agreement import adopt_accuracy
from harness.run.assemble import Inputs, Subject, unmeasured_document
from harness.run.builds import Builds, build_key
from harness.run.cell import Task
from harness.run.energy import Metered
from harness.run.execute import CellJob, Fold, NoRoomError, Prepared, Split, prepare_method, run_cell
from harness.run.folder import locked, refuse_strangers
from harness.run.prepare import for_method
from harness.run.workers import Gate, Job, JobDied, run_jobs
from harness.suite import Cell, Method, Suite, make_cells
from harness.targets import load_target

T = TypeVar("T")

EXPECTED = (HarnessError, EngineError, FixtureError)
BUILD_FOLDER = "build"


@dataclass(frozen=True)
class Request:
    """A run as asked for: the suite with every override applied, and what of it is wanted."""

    suite: Suite
    inputs: Inputs
    targets: tuple[str, ...]
    methods: tuple[Method, ...]
    seeds: tuple[int, ...]
    out: Path
    sram_budget: int | None
    parallel: int
    step_seconds: float
    split: Split = "final"
    latency: bool = True
    """Whether the first seed is timed and its SRAM measured; the other seeds give digests and accuracy."""
    profile: bool = True
    """Whether the ticks of the first seed are taken by operator too, from a build of its own."""
    fold: Fold | None = None
    """Of a selection: what validates; None: the dataset's own validation part."""
    retries: int = 0
    """How often a cell is begun again after a transport error."""
    farms: Mapping[str, Farm] = field(default_factory=dict)
    """By target: the places of a farm on which its cells are run; other targets are run here."""
    foreign: Mapping[str, Inputs] = field(default_factory=dict)
    """Inputs of trainers that the user brought, by method; all other methods have `inputs`."""
    meters: Mapping[str, Metered] = field(default_factory=dict)
    """By target: the board whose energy is measured; the first seed's, like the ticks."""
    gate: Gate | None = None
    """What else runs in this process shares it; None: `parallel` jobs here, and one on every place."""


class Watcher(Protocol):
    """Hears how a run goes on."""

    def stage(self, title: str, jobs: Sequence[str]) -> None: ...

    def started(self, job: str) -> None: ...

    def progress(self, job: str, done: int, total: int) -> None: ...

    def finished(self, job: str, outcome: str) -> None: ...

    def kept(self, cells: int) -> None: ...


def run_suite(request: Request, watcher: Watcher, builds: Builds | None = None) -> list[RunDocument]:
    """Run what of `request` is not finished in its folder; all documents of the request, in cell order.

    `builds`: what other runs of this process have built, and where; None: in the run's own folder.

    A cell that fails leaves a document that says why, and the others go on. Raises ToolMissingError before
    anything is run, EngineError when a method does not compile, JobCrashed for a bug.
    """
    cells = make_cells(request.targets, request.methods, request.seeds)
    with locked(request.out):
        refuse_strangers(request.out, cells, _options(request))
        digests = {cell: _inputs_digest(request, cell) for cell in cells}
        documents = {
            cell: document
            for cell in cells
            if (document := _finished(request, cell, digests[cell])) is not None
        }
        watcher.kept(len(documents))
        wanted = [cell for cell in cells if cell not in documents]
        prepared = _prepare(request, wanted, builds or Builds(request.out / BUILD_FOLDER), watcher)
        for cell, document in _run_cells(request, wanted, digests, prepared, watcher):
            documents[cell] = document
            save_document(request.out, document)
        for cell in cells:
            adopted = adopt_accuracy(documents[cell], _reference(request, documents, cell))
            if adopted != documents[cell]:
                documents[cell] = adopted
                save_document(request.out, adopted)
    return [documents[cell] for cell in cells]


def _inputs_digest(request: Request, cell: Cell) -> str:
    """Of everything that determines the cell's document: two equal digests, one result."""
    target = load_target(cell.target)
    method = _method(request, cell)
    inputs = _inputs(request, method.name)
    scheme_file = Path(method.scheme_name)
    return inputs_digest(
        {
            "suite": request.suite.name,
            "cell": asdict(cell),
            "method": method.model_dump(),
            "scheme": scheme_file.read_text("utf-8")
            if scheme_file.suffix == ".toml" and scheme_file.is_file()
            else "",
            "task": asdict(_task(request, cell)),
            **({} if (metered := _metered(request, cell)) is None else {"meter": f"{metered}"}),
            "rounding": method.rounding or request.suite.rounding,
            "gradient": method.gradient or request.suite.gradient,
            "split": request.split,
            **({} if request.fold is None else {"fold": request.fold}),
            "model": inputs.model_digest,
            "dataset": inputs.dataset_digest,
            "classes": len(inputs.class_names),
            "toolchain": find_compiler(target).version,
            "target": target.model_dump(mode="json", exclude={"folder"}),
            "sram_budget": request.sram_budget,
            "sources": source_digest(),
        }
    )


def _options(request: Request) -> dict[str, Options]:
    """By method: how this run compiles and trains it."""
    return {
        method.name: Options(
            rounding=method.rounding or request.suite.rounding,
            gradient=method.gradient or request.suite.gradient,
            learning_rate=method.learning_rate,
            accumulate=method.accumulate,
            quantization_aware_scaling=method.quantization_aware_scaling,
            rule=method.rule,
            momentum=method.momentum,
            convolution_rate=method.convolution_rate,
            precision=method.precision,
        )
        for method in map(request.suite.as_compiled, request.methods)
    }


def _finished(request: Request, cell: Cell, digest: str) -> RunDocument | None:
    return find_finished(request.out, request.suite.name, cell.target, cell.method, cell.seed, digest)


def _method(request: Request, cell: Cell) -> Method:
    return next(method for method in request.methods if method.name == cell.method)


def _inputs(request: Request, method: str) -> Inputs:
    return request.foreign.get(method, request.inputs)


def _key(request: Request, cell: Cell) -> str:
    return _firmware_key(request, _method(request, cell))


def _firmware_key(request: Request, method: Method) -> str:
    """Methods of one key share a firmware; a user's trainer has its own."""
    return method.name if method.name in request.foreign else request.suite.firmware_key(method)


def _is_measured(request: Request, cell: Cell) -> bool:
    return request.latency and cell.seed == request.seeds[0]


def _is_profiled(request: Request, cell: Cell) -> bool:
    return request.profile and _is_measured(request, cell) and cell.method not in request.foreign


def _metered(request: Request, cell: Cell) -> Metered | None:
    return request.meters.get(cell.target) if _is_measured(request, cell) else None


def _task(request: Request, cell: Cell) -> Task:
    suite = request.suite
    measured = _is_measured(request, cell)
    reference = cell.target == suite.reference
    steps = suite.device_steps if measured or reference else suite.digest_steps
    return Task(
        seed=cell.seed,
        course=suite.course(_method(request, cell)),
        steps=steps,
        digest_steps=tuple(sorted({min(suite.digest_steps, steps), steps})),
        predictions=suite.device_predictions if measured else 0,
        measure_sram=measured,
        whole_course=reference,
        curve_points=suite.curve_points,
        computed_on=cell.target,
    )


def _prepare(
    request: Request, wanted: Sequence[Cell], builds: Builds, watcher: Watcher
) -> dict[str, Prepared]:
    """Compile and build what the cells need, by firmware key. A method that does not compile ends the run."""
    jobs: dict[str, Job[Prepared]] = {}
    keys: dict[str, str] = {}
    for method in request.methods:
        inputs = _inputs(request, method.name)
        profile = request.latency and request.profile and inputs.foreign is None
        name = _firmware_key(request, method)
        sharing = {m.name for m in request.methods if _firmware_key(request, m) == name}
        targets = tuple(dict.fromkeys(cell.target for cell in wanted if cell.method in sharing))
        if not targets or name in keys:
            continue
        key = keys[name] = _build_key(request, inputs, name)
        if lacking := builds.lacking(key, targets, profile):
            call = partial(
                prepare_method,
                inputs,
                method,
                method.rounding or request.suite.rounding,
                method.gradient or request.suite.gradient,
                lacking,
                request.sram_budget,
                profile,
                builds.folder_of(key, name),
            )
            jobs[name] = Job(name, call)
    for job, value in _run(list(jobs.values()), "compile and build", request, watcher):
        if isinstance(value, Exception):
            raise value
        builds.add(keys[job.title], value)
    return {name: builds.prepared[key] for name, key in keys.items()}


def _build_key(request: Request, inputs: Inputs, firmware_key: str) -> str:
    return build_key(
        {
            "firmware": firmware_key,
            "model": inputs.model_digest,
            "classes": len(inputs.class_names),
            "sram_budget": request.sram_budget,
        }
    )


def _run_cells(
    request: Request,
    wanted: Sequence[Cell],
    digests: dict[Cell, str],
    prepared: dict[str, Prepared],
    watcher: Watcher,
) -> Iterator[tuple[Cell, RunDocument]]:
    jobs: dict[str, Cell] = {}
    queue: list[Job[RunDocument]] = []
    for cell in _longest_first(request, wanted):
        ready = prepared[_key(request, cell)]
        subject = _subject(request, cell, ready)
        if cell.target in ready.refused:
            error = ready.refused[cell.target]
            no_room = isinstance(error, NoRoomError)
            unmeasured = unmeasured_document(subject, "not-run" if no_room else "failed", str(error))
            yield cell, unmeasured if no_room else unmeasured.model_copy(update={"failure": "trainer"})
            continue
        job = CellJob(
            inputs=subject.inputs,
            method=subject.method,
            target=cell.target,
            split=request.split,
            fold=request.fold,
            trainer=subject.trainer,
            firmware=ready.firmware[cell.target],
            profiled=ready.profiled[cell.target] if _is_profiled(request, cell) else None,
            task=_task(request, cell),
            step_seconds=request.step_seconds,
            inputs_digest=digests[cell],
            metered=_metered(request, cell),
            farm=request.farms.get(cell.target),
            recover=request.retries > 0,
        )
        jobs[str(cell)] = cell
        queue.append(Job(str(cell), partial(run_cell, job), lane=_lane(request, cell)))
    attempts: dict[Cell, tuple[Attempt, ...]] = {}
    while queue:
        again: list[Job[RunDocument]] = []
        for done, value in _run(queue, "run", request, watcher):
            cell = jobs[done.title]
            before = attempts.get(cell, ())
            if isinstance(value, (*EXPECTED, JobDied)):
                if Retry(request.retries).allows(value, before):
                    attempts[cell] = (*before, attempt(value))
                    again.append(done)
                    continue
                subject = _subject(request, cell, prepared[_key(request, cell)])
                reason = "; ".join(filter(None, (str(value), recovery(value))))
                failed = unmeasured_document(subject, "failed", reason)
                yield cell, failed.model_copy(update={"failure": at_fault(value), "retries": before})
            elif isinstance(value, Exception):
                raise value
            else:
                yield cell, value.model_copy(update={"retries": before}) if before else value
        queue = again


def _subject(request: Request, cell: Cell, prepared: Prepared) -> Subject:
    return Subject(
        inputs=_inputs(request, cell.method),
        target=load_target(cell.target),
        method=_method(request, cell),
        seed=cell.seed,
        trainer=for_method(prepared.trainer, _method(request, cell)),
        firmware=prepared.firmware.get(cell.target),
    )


def _longest_first(request: Request, wanted: Sequence[Cell]) -> list[Cell]:
    """Whole courses before the rest, so that the last cells to end are short ones."""
    return sorted(wanted, key=lambda cell: (cell.target != request.suite.reference, wanted.index(cell)))


def _run(
    jobs: Sequence[Job[T]], title: str, request: Request, watcher: Watcher
) -> Iterator[tuple[Job[T], T | Exception]]:
    """Outcomes of `jobs` as they come: the value, or the exception."""
    if not jobs:
        return
    watcher.stage(title, [job.title for job in jobs])
    outcomes = run_jobs(
        jobs,
        EXPECTED,
        gate=request.gate or SharedGate(request_slots(request)),
        on_start=lambda job: watcher.started(job.title),
        on_progress=lambda job, done, total: watcher.progress(job.title, done, total),
    )
    with closing(outcomes):  # type: ignore[type-var]
        for outcome in outcomes:
            watcher.finished(outcome.job.title, "" if outcome.error is None else str(outcome.error))
            yield outcome.job, outcome.error if outcome.error is not None else outcome.unwrap()


def request_slots(request: Request) -> Slots:
    """How many jobs of `request` may run at a time, and where."""
    places = {farm.lane(name): farm.places for name, farm in request.farms.items()}
    attached = [name for name in request.targets if name not in request.farms and _is_board(name)]
    if attached:
        rack = find_rack()
        places |= {_board_lane(name): max(1, len(rack.boards_of(name))) for name in attached}
    return Slots(request.parallel, places)


def _lane(request: Request, cell: Cell) -> str:
    farm = request.farms.get(cell.target)
    if farm is not None:
        return farm.lane(cell.target)
    return _board_lane(cell.target) if _is_board(cell.target) else ""


def _is_board(target: str) -> bool:
    return load_target(target).driver == "board"


def _board_lane(target: str) -> str:
    return f"boards {target}"


def _reference(request: Request, documents: dict[Cell, RunDocument], cell: Cell) -> RunDocument | None:
    return documents.get(Cell(request.suite.reference, cell.method, cell.seed))
