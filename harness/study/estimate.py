"""How long the rest of a study will take, from the trainings that are done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from harness.results.document import RunDocument
from harness.study.plan import StudyPlan, amount


def remaining(plan: StudyPlan, selected: Sequence[RunDocument], further_folds: int) -> str:
    """A sentence on the final trainings and on the folds after this one, after its selection.

    A final training is taken to be as fast, image by image, as the selection's of the same firmware.
    """
    final = _final_seconds(plan, selected) / plan.request.parallel
    chosen = sum(run.provenance.duration_seconds for run in selected) / plan.request.parallel
    text = f"rates are chosen; about {_minutes(final)} to train and test {amount(plan).final} times"
    if further_folds:
        text += f", then {further_folds} more folds of about {_minutes(final + chosen)} each"
    return f"{text} on {plan.request.parallel} cores, and what is to be built or measured"


def _final_seconds(plan: StudyPlan, selected: Sequence[RunDocument]) -> float:
    """Processor seconds of all final trainings."""
    spent: dict[str, list[float]] = defaultdict(list)
    trained = 1
    images = 1
    for run in selected:
        if run.status == "done" and run.accuracy is not None:
            spent[_kind(run)].append(run.provenance.duration_seconds)
            trained = run.accuracy.train_images
            images = run.accuracy.train_images + len(run.accuracy.test_labels)
    growth = images / trained
    seconds = [max(0.0, sum(times) / len(times)) for times in spent.values()]
    share = sum(seconds) / len(seconds) if seconds else 0.0
    return share * growth * len(plan.request.methods) * len(plan.final_seeds)


def _kind(run: RunDocument) -> str:
    return run.method.partition(" lr=")[0]


def _minutes(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min"
