from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.search.evaluation import FOLDER, Evaluation, find_evaluation, save_evaluation

Make = Callable[..., Evaluation]


def test_what_is_kept_is_found(make_evaluation: Make, tmp_path: Path) -> None:
    kept = make_evaluation([1.0, 1 / 3], weights=((3, 0.25),), depth=9)
    save_evaluation(tmp_path, kept)
    assert find_evaluation(tmp_path, kept.key) == kept
    assert find_evaluation(tmp_path, "f" * 64) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key": 1}'])
def test_a_broken_file_is_made_again(make_evaluation: Make, tmp_path: Path, text: str) -> None:
    kept = make_evaluation([1.0])
    save_evaluation(tmp_path, kept)
    (tmp_path / FOLDER / f"{kept.key}.json").write_text(text)
    assert find_evaluation(tmp_path, kept.key) is None


def test_a_file_under_another_key_is_not_taken(make_evaluation: Make, tmp_path: Path) -> None:
    kept = make_evaluation([1.0])
    save_evaluation(tmp_path, kept)
    path = tmp_path / FOLDER / f"{kept.key}.json"
    path.rename(path.with_name("a" * 64 + ".json"))
    assert find_evaluation(tmp_path, "a" * 64) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": (1, 1)},
        {"labels": (2,)},
        {"labels": (-1,)},
        {"status": "diverged"},
        {"logits": ((0.0, float("nan")),)},
    ],
)
def test_outcomes_that_contradict_themselves(make_evaluation: Make, changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        make_evaluation([1.0], **changes)
