"""`trainbench datasets`: counts, digest, pictures in two parts, and bad input."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.datasets import load_dataset

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(2)
    root = tmp_path / "pets"
    for class_name, count in (("[cat]", 10), ("dog", 20)):
        (root / class_name).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / class_name / f"{number}.png")
    return root


def test_it_prints_counts_and_the_digest(trainbench: Command, folder: Path) -> None:
    result = trainbench("datasets", f"folder:{folder}", "--size", "16")
    assert result.returncode == 0, result.stderr
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert rows["class"] == ["training", "validation", "test"]
    assert rows["[cat]"] == ["5", "2", "3"]
    assert rows["dog"] == ["10", "4", "6"]
    assert rows["all"] == ["15", "6", "9"]
    assert load_dataset(f"folder:{folder}", 16).digest in result.stdout
    assert result.stderr == ""


def test_json_holds_the_same(trainbench: Command, folder: Path) -> None:
    result = trainbench("datasets", f"sample:9/3/6:folder:{folder}", "--size", "16", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["classes"]["dog"] == {"training": 6, "validation": 2, "test": 4}
    assert found["digest"] == load_dataset(f"sample:9/3/6:folder:{folder}", 16).digest
    assert found["name"] == "folder:pets sample 9/3/6"
    assert found["tested_and_learned"] == []


def test_a_picture_in_two_parts_is_named(trainbench: Command, folder: Path) -> None:
    dataset = load_dataset(f"folder:{folder}", 16)
    tested, learned = dataset.ids[dataset.test[0]], dataset.ids[dataset.train[0]]
    (folder / tested).write_bytes((folder / learned).read_bytes())
    result = trainbench("datasets", f"folder:{folder}", "--size", "16")
    assert result.returncode == 0
    assert f"1 pictures of the test part are in another part too, such as {tested}, which is {learned}" in (
        result.stderr
    )


def break_picture(folder: Path) -> str:
    (folder / "dog" / "3.png").write_bytes(b"\x89PNG")
    return f"folder:{folder}"


def break_coco(folder: Path) -> str:
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_val.json").write_text('{"images": [')
    return f"vww:{folder}"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_picture, "dog/3.png cannot be read"),
        (break_coco, "instances_val.json: it is not whole JSON"),
        (lambda folder: f"folder:{folder}/absent", "absent cannot be read: No such file or directory"),
        (lambda folder: "imagenet", "unknown dataset 'imagenet'"),
        (
            lambda folder: f"sample:900/1/1:folder:{folder}",
            "sample of 900 training pictures was asked for, of 15",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    damage: Callable[[Path], str], words: str, trainbench: Command, folder: Path
) -> None:
    result = trainbench("datasets", damage(folder))
    assert result.returncode == 2
    assert result.stdout == ""
    assert words in result.stderr
    assert result.stderr.startswith("trainbench: ")
    assert result.stderr.count("\n") == 1
