"""Trainers that users bring, beside methods of trainbench: which documents stand side by side."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from harness.errors import ResultsError
from harness.results.comparison import compare
from harness.results.document import ForeignTrainer, RunDocument
from harness.results.doubts import cautions
from harness.results.figures import figures

FOREIGN = ForeignTrainer(network="n", scheme="s", input_size=32, input_channels=3, classes=2)


def changed(run: RunDocument, **origin: Any) -> RunDocument:
    return run.model_copy(update={"provenance": run.provenance.model_copy(update=origin)})


def side_by_side(factory: ModuleType, **theirs: Any) -> list[RunDocument]:
    """Two targets' runs of one method of trainbench, and the same of a trainer with other pictures."""
    sizes = {"image_size": 128, "dataset_index": "i"}
    own = [changed(factory.document("last-layer", target, 0), **sizes) for target in factory.TARGETS]
    other = {"model_digest": "o", "dataset_digest": "d", "image_size": 32, "dataset_index": "i", **theirs}
    brought = [
        changed(run, **other).model_copy(update={"method": "brought", "foreign": FOREIGN}) for run in own
    ]
    return [*own, *brought]


def test_the_same_pictures_at_another_size_are_compared(factory: ModuleType) -> None:
    runs = side_by_side(factory)
    assert compare(runs).methods == ("brought", "last-layer")
    rows = figures(runs)
    assert set(rows[rows["figure"] == "extra_memory"]["method"]) == {"last-layer"}


@pytest.mark.parametrize(
    "theirs", [{"dataset_index": "j"}, {"dataset_index": ""}, {"image_size": 128}, {"dataset_name": "x"}]
)
def test_other_pictures_are_refused(factory: ModuleType, theirs: dict[str, Any]) -> None:
    with pytest.raises(ResultsError, match="different datasets"):
        compare(side_by_side(factory, **theirs))


def test_two_sources_of_one_trainer_are_refused(factory: ModuleType) -> None:
    runs = side_by_side(factory)
    with pytest.raises(ResultsError, match="different sources of brought"):
        compare([*runs[:-1], changed(runs[-1], model_digest="p")])


def test_the_lack_of_a_plan_is_said(factory: ModuleType) -> None:
    own, *_, brought = side_by_side(factory)
    assert any("there is no plan" in sentence for sentence in cautions(brought))
    assert not any("there is no plan" in sentence for sentence in cautions(own))
