"""Run documents grouped into cells (method on target, over seeds), refused where they cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from harness.errors import ResultsError
from harness.results.document import Accuracy, RunDocument, SchemeSummary
from harness.results.statistics import Difference, Interval, accuracy_interval, paired_difference

Correct = NDArray[np.bool_]


@dataclass(frozen=True)
class Cell:
    """All runs of one method on one target, in seed order."""

    method: str
    target: str
    runs: tuple[RunDocument, ...]

    @property
    def done(self) -> tuple[RunDocument, ...]:
        return tuple(run for run in self.runs if run.status == "done")

    @property
    def missing(self) -> tuple[RunDocument, ...]:
        """Runs that failed or were not run; each says why."""
        return tuple(run for run in self.runs if run.status != "done")

    @property
    def sram_run(self) -> RunDocument | None:
        """The run with the highest peak SRAM, so that its parts add up to its peak.

        A run that was not done counts only where none was, and only with an analytic figure.
        """
        runs = [run for run in self.done if run.sram is not None] or [
            run
            for run in self.runs
            if run.status == "not-run" and run.sram is not None and run.sram.kind == "analytic"
        ]
        return max(runs, key=lambda run: run.sram.peak if run.sram else 0, default=None)

    @property
    def tested(self) -> tuple[RunDocument, ...]:
        return tuple(run for run in self.done if run.accuracy is not None)


@dataclass(frozen=True)
class Comparison:
    """Cells of one suite. Methods: by analytic extra memory, ascending. Targets: with a budget first."""

    suite: str
    methods: tuple[str, ...]
    targets: tuple[str, ...]
    cells: dict[tuple[str, str], Cell]
    documents: tuple[RunDocument, ...]

    def cell(self, method: str, target: str) -> Cell:
        return self.cells.get((method, target), Cell(method, target, ()))


@dataclass(frozen=True)
class Options:
    """How a method was compiled and trained: its runs have to agree in it to be one method."""

    rounding: str
    gradient: str
    learning_rate: float
    accumulate: int
    quantization_aware_scaling: bool = True
    rule: str = "sgd"
    momentum: float = 0.9
    convolution_rate: float = 1.0
    precision: str = "int8"

    @classmethod
    def of(cls, scheme: SchemeSummary) -> Options:
        return cls(
            rounding=scheme.rounding,
            gradient=scheme.gradient,
            learning_rate=scheme.learning_rate,
            accumulate=scheme.accumulate,
            quantization_aware_scaling=scheme.quantization_aware_scaling,
            rule=scheme.rule,
            momentum=scheme.momentum,
            convolution_rate=scheme.convolution_rate,
            precision=scheme.precision,
        )

    def __str__(self) -> str:
        every = f", an update every {self.accumulate} images" if self.accumulate > 1 else ""
        rate = f"learning rate {self.learning_rate:g}"
        words = [f"{self.rounding} rounding", f"{self.gradient} gradients", f"{rate}{every}"]
        words += [] if self.quantization_aware_scaling else ["no quantization-aware scaling"]
        words += [] if self.rule == "sgd" else [f"{self.rule} (momentum {self.momentum:g})"]
        words += (
            [] if self.convolution_rate == 1 else [f"convolutions {self.convolution_rate:g} times faster"]
        )
        words += [] if self.precision == "int8" else [f"{self.precision} network"]
        return ", ".join(words)


@dataclass(frozen=True)
class DigestCheck:
    """State digests of one method and seed after the same number of steps, by target."""

    method: str
    seed: int
    steps: int
    states: tuple[tuple[str, str], ...]

    @property
    def equal(self) -> bool:
        return len({state for _, state in self.states}) == 1


def compare(documents: Sequence[RunDocument]) -> Comparison:
    """Group `documents`; raise ResultsError where putting them side by side would mislead.

    That is: none at all; more than one suite; the same method, target and seed twice; runs on different
    networks or data; runs of one method with different options. A trainer that a user brought is a network of
    its own, and may see the same pictures at another size.
    """
    if not documents:
        raise ResultsError(
            "there are no run documents to compare; run a suite first: trainbench run people-detection"
        )
    ordered = sorted(documents, key=lambda run: (run.method, run.target, run.seed))
    done = [run for run in ordered if run.status == "done"]
    _refuse_mixture("suites", {run.suite for run in ordered})
    _refuse_mixture("networks", {_network(run) for run in done if run.foreign is None})
    _refuse_other_pictures(done)
    for method in dict.fromkeys(run.method for run in done):
        _refuse_mixture(f"sources of {method}", {_network(run) for run in done if run.method == method})
        _refuse_mixture(
            f"options of {method}", {str(Options.of(r.scheme)) for r in done if r.method == method}
        )
    for first, second in pairwise(ordered):
        if (first.method, first.target, first.seed) == (second.method, second.target, second.seed):
            raise ResultsError(
                f"{first.method} on {first.target} with seed {first.seed} is there twice; "
                "keep one of the two documents"
            )
    cells = {}
    for method, target in dict.fromkeys((run.method, run.target) for run in ordered):
        runs = tuple(run for run in ordered if (run.method, run.target) == (method, target))
        cells[method, target] = Cell(method, target, runs)
    return Comparison(ordered[0].suite, _methods(ordered), _targets(ordered), cells, tuple(ordered))


def correctness(accuracy: Accuracy) -> tuple[Correct, Correct]:
    """Whether each test image was right before and after training: two boolean arrays of shape (images,).

    Raises ResultsError where the predictions are not one per test image.
    """
    labels = np.asarray(accuracy.test_labels, dtype=np.int64)
    columns = []
    for word, predicted in (("before", accuracy.predicted_before), ("after", accuracy.predicted_after)):
        if len(predicted) != len(labels) or not len(labels):
            raise ResultsError(
                f"a run document has {len(labels)} test labels and {len(predicted)} predictions {word} "
                "training; it needs one prediction per test image, and at least one image"
            )
        columns.append(np.asarray(predicted, dtype=np.int64) == labels)
    return columns[0], columns[1]


def accuracies(cell: Cell) -> tuple[Interval, Interval] | None:
    """Accuracy before and after training over seeds and test images; None where no run was tested."""
    if not cell.tested:
        return None
    before, after = _stacked(cell.tested)
    return accuracy_interval(before), accuracy_interval(after)


def training_effect(cell: Cell) -> Difference | None:
    """Accuracy after minus before training, paired; None where no run was tested."""
    if not cell.tested:
        return None
    before, after = _stacked(cell.tested)
    return paired_difference(after, before)


def difference(first: Cell, second: Cell) -> Difference | None:
    """Accuracy after training, `first` minus `second`, on the seeds they share; None if they share none."""
    shared = {run.seed for run in first.tested} & {run.seed for run in second.tested}
    if not shared:
        return None
    runs = [[run for run in cell.tested if run.seed in shared] for cell in (first, second)]
    one, other = (_stacked(part)[1] for part in runs)
    _same_images([*runs[0], *runs[1]])
    return paired_difference(one, other)


def by_trainer(comparison: Comparison) -> dict[str, dict[str, Cell]]:
    """For each target that computed accuracies: method → its tested runs, one a seed, whoever reports them.

    A reference target may train for others, so the same accuracy can stand in documents of several targets.
    Raises ResultsError where these documents disagree on what it predicted.
    """
    found: dict[str, dict[str, dict[int, RunDocument]]] = {}
    for target in comparison.targets:
        for method in comparison.methods:
            for run in comparison.cell(method, target).tested:
                if run.accuracy is not None:
                    seeds = found.setdefault(run.accuracy.computed_on, {}).setdefault(method, {})
                    _refuse_disagreement(seeds.setdefault(run.seed, run), run)
    return {
        trainer: {
            method: Cell(method, trainer, tuple(seeds[seed] for seed in sorted(seeds)))
            for method, seeds in methods.items()
        }
        for trainer, methods in found.items()
    }


def digest_checks(comparison: Comparison) -> tuple[DigestCheck, ...]:
    """Every (method, seed, steps) whose state digest at least two targets report, in that order.

    Runs that failed count too: a state that differs may be why they did.
    """
    found: dict[tuple[str, int, int], list[tuple[str, str]]] = {}
    for run in comparison.documents:
        for digest in run.digests:
            found.setdefault((run.method, run.seed, digest.steps), []).append((run.target, digest.state))
    return tuple(
        DigestCheck(*key, tuple(sorted(states)))
        for key, states in sorted(found.items())
        if len({target for target, _ in states}) > 1
    )


def _stacked(runs: Sequence[RunDocument]) -> tuple[Correct, Correct]:
    """Correct before and after, each (seeds, images)."""
    _same_images(runs)
    pairs = [correctness(run.accuracy) for run in runs if run.accuracy is not None]
    return np.stack([before for before, _ in pairs]), np.stack([after for _, after in pairs])


def _same_images(runs: Sequence[RunDocument]) -> None:
    labels = {run.accuracy.test_labels for run in runs if run.accuracy is not None}
    if len(labels) > 1:
        names = ", ".join(f"{run.method} on {run.target} seed {run.seed}" for run in runs)
        raise ResultsError(
            f"runs to be compared were tested on different images: {names}; use one split for all of them"
        )


def _refuse_disagreement(first: RunDocument, second: RunDocument) -> None:
    if first.accuracy is None or second.accuracy is None:
        return
    if first.accuracy.predicted_after != second.accuracy.predicted_after:
        raise ResultsError(
            f"the documents of {first.target} and {second.target} disagree on what {first.method} with seed "
            f"{first.seed} predicted when trained on {first.accuracy.computed_on}; run both cells again"
        )


def _refuse_mixture(what: str, found: set[str]) -> None:
    if len(found) > 1:
        raise ResultsError(
            f"the run documents are of different {what}: {'; '.join(sorted(found))}; "
            "figures of these do not belong side by side, keep them in folders of their own"
        )


def _network(run: RunDocument) -> str:
    return f"{run.provenance.model_name} ({run.provenance.model_digest[:12]})"


def _refuse_other_pictures(done: Sequence[RunDocument]) -> None:
    """Pictures of one size have to be equal; those of several sizes the same by name, label and split."""
    origins = [run.provenance for run in done]
    for size in dict.fromkeys(origin.image_size for origin in origins):
        of_size = [origin for origin in origins if origin.image_size == size]
        _refuse_mixture("datasets", {f"{p.dataset_name} ({p.dataset_digest[:12]})" for p in of_size})
    if len({origin.image_size for origin in origins}) > 1:
        # Documents from before there was an index have none to compare.
        indices = {f"{p.dataset_name} ({(p.dataset_index or p.dataset_digest)[:12]})" for p in origins}
        _refuse_mixture("datasets", indices)


def _methods(runs: Sequence[RunDocument]) -> tuple[str, ...]:
    extra = {run.method: run.scheme.extra_memory_analytic for run in runs}
    for run in runs:
        extra[run.method] = max(extra[run.method], run.scheme.extra_memory_analytic)
    return tuple(sorted(extra, key=lambda method: (extra[method], method)))


def _targets(runs: Sequence[RunDocument]) -> tuple[str, ...]:
    budgeted = {run.target for run in runs if run.sram is not None and run.sram.budget_bytes is not None}
    return tuple(sorted({run.target for run in runs}, key=lambda target: (target not in budgeted, target)))
