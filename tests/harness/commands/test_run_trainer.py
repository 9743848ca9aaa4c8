"""`trainbench run people-detection --trainer DIR`: the example on host and emulator, and its faults."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.results.document import RunDocument
from harness.results.store import load_documents

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Change = Callable[..., Path]
QEMU = "qemu-mps2-an500"
TRAINBENCH = [sys.executable, "-m", "harness.cli"]
EXAMPLE = Path(__file__).parents[3] / "fixtures" / "trainers" / "logistic-regression"
NAME = "logistic-regression"

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(
        shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
        reason="needs qemu-system-arm and arm-none-eabi-gcc",
    ),
]


def arguments(trainer: Path, out: Path, *more: str) -> list[str]:
    return [
        *("run", "people-detection", "--trainer", str(trainer), "--out", str(out)),
        *("--target", QEMU, "--seed", "0", *more),
    ]


@pytest.fixture(scope="module")
def finished(backbone_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example beside a method of trainbench whose pictures are of another size."""
    out = tmp_path_factory.mktemp("finished")
    beside = ("--method", "last:3", "--backbone", str(backbone_file), "--learning-rate", "0.01")
    subprocess.run(
        [*TRAINBENCH, *arguments(EXAMPLE, out, *beside)], check=True, capture_output=True, timeout=300
    )
    return out


def documents(out: Path) -> dict[tuple[str, str], RunDocument]:
    return {(run.method, run.target): run for run in load_documents(out)}


def test_it_learns_the_same_on_host_and_emulator(finished: Path) -> None:
    host, device = documents(finished)[NAME, "host"], documents(finished)[NAME, QEMU]
    assert host.status == device.status == "done"
    states = {digest.steps: digest.state for digest in host.digests}
    assert [digest.steps for digest in device.digests] == [20, 30]
    assert all(states[digest.steps] == digest.state for digest in device.digests)
    assert device.accuracy == host.accuracy
    accuracy = host.accuracy
    assert accuracy is not None
    right = [a == b for a, b in zip(accuracy.predicted_after, accuracy.test_labels, strict=True)]
    assert sum(right) / len(right) > 0.7
    assert accuracy.losses[0] == pytest.approx(0.6931472, abs=1e-6)


def test_its_sram_is_measured_without_a_plan(finished: Path) -> None:
    run = documents(finished)[NAME, QEMU]
    assert run.plan is None
    assert run.foreign is not None
    assert (run.foreign.network, run.foreign.input_size, run.foreign.classes) == (NAME, 128, 2)
    assert run.operator_ticks == ()
    sram = run.sram
    assert sram is not None
    assert sram.kind == "measured"
    assert sram.arena == sram.arena_touched == 128 * 128 * 3 + 4 * (768 + 2)
    assert sram.state == 4 * 2 * (768 + 1)
    assert sram.peak == sram.static + sram.state + sram.arena + sram.stack
    assert run.step_ticks is not None
    assert len(run.step_ticks.values) == 30


def test_it_stands_beside_a_method_in_report_and_figures(finished: Path, trainbench: Command) -> None:
    found = documents(finished)
    assert {method for method, _ in found} == {NAME, "last:3"}
    sizes = {run.provenance.image_size for run in found.values()}
    assert sizes == {16, 128}
    result = trainbench("figures", finished)
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    own = {row["figure"] for row in rows if row["method"] == NAME}
    assert {"peak_sram", "step_ticks", "accuracy_after", "state_digest"} <= own
    assert not {"extra_memory", "plan_peak"} & own
    report = (finished / "report.html").read_text()
    assert "there is no plan that the bytes it touched could be held against" in report


@pytest.fixture
def change(tmp_path: Path) -> Change:
    """The example, with 16x16 pictures, and one place of its source replaced."""

    def changed(pattern: str, text: str, declaration: str = "") -> Path:
        folder = tmp_path / "changed"
        shutil.copytree(EXAMPLE, folder)
        source = (folder / "trainer.c").read_text()
        assert re.search(pattern, source)
        (folder / "trainer.c").write_text(re.sub(pattern, text, source))
        (folder / "trainer.toml").write_text(
            f'name = "changed"\nlearning_rate = 0.02\nflags = ["-DSIDE=16"]\nepochs = 1\n{declaration}'
        )
        return folder

    return changed


def failed_sentence(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    return " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("pattern", "text", "words"),
    [
        (r"return loss;", "return loss - loss / 0.0f;", "the loss of training step 0 is"),
        (r"return loss;", "for (volatile int i = 0;; i = 1) {}", "a training step"),
        (
            r"learning_rate \* p\[c\];",
            "0.0f * learning_rate * p[c];",
            "did not change in 30 training steps",
        ),
        (
            r"return loss;",
            "static uint32_t once; if (!once++) *(volatile uint8_t *)((uint8_t *)&trainer_arena + 70000) = 1;"
            " return loss;",
            "touched",
        ),
    ],
)
def test_a_trainer_that_misbehaves_fails_in_one_sentence(
    change: Change, trainbench: Command, tmp_path: Path, pattern: str, text: str, words: str
) -> None:
    folder = (
        change(pattern, f"\n#ifndef __arm__\n  return loss;\n#else\n  {text}\n#endif\n")
        if ("return loss" in pattern)
        else change(pattern, text)
    )
    result = trainbench(*arguments(folder, tmp_path / "out", "--step-timeout", "5"))
    assert words in failed_sentence(result)
    run = documents(tmp_path / "out")["changed", QEMU]
    assert run.status == "failed"
    assert run.sram is run.step_ticks is run.accuracy is None


def test_a_trainer_with_other_bits_keeps_its_figures_but_no_accuracy(
    change: Change, trainbench: Command, tmp_path: Path
) -> None:
    folder = change(
        r"(?s)void trainer_reset\(uint32_t seed\) \{",
        "#ifdef __arm__\n#define START 0.001f\n#else\n#define START 0.0f\n#endif\n"
        "void trainer_reset(uint32_t seed) {",
    )
    source = (folder / "trainer.c").read_text()
    (folder / "trainer.c").write_text(source.replace("bias[c] = 0.0f", "bias[c] = START"))
    result = trainbench(*arguments(folder, tmp_path / "out"))
    assert result.returncode == 0, result.stderr
    run = documents(tmp_path / "out")["changed", QEMU]
    assert run.status == "done"
    assert run.accuracy is None
    assert run.sram is not None
    assert "does not compute the same bits on both" in run.warnings[-1]
    assert "State digests differ" in (tmp_path / "out" / "report.html").read_text()


def test_gray_pictures_are_made_of_colour(change: Change, trainbench: Command, tmp_path: Path) -> None:
    folder = change(r"#define CHANNELS 3", "#define CHANNELS 1")
    result = trainbench(*arguments(folder, tmp_path / "out"))
    assert result.returncode == 0, result.stderr
    run = documents(tmp_path / "out")["changed", QEMU]
    assert run.foreign is not None
    assert run.foreign.input_channels == 1
    assert run.accuracy is not None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--rounding", "nearest"), "--rounding says nothing to a trainer that a user brought"),
        (("--trainer", str(EXAMPLE)), "another method named 'logistic-regression'"),
        (("--dataset", "nowhere"), "unknown dataset"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(
    trainbench: Command, tmp_path: Path, more: tuple[str, ...], words: str
) -> None:
    result = trainbench(*arguments(EXAMPLE, tmp_path / "out", *more))
    assert words in failed_sentence(result)
    assert not (tmp_path / "out").exists()


def test_a_trainer_without_a_rate_asks_for_one(tmp_path: Path, trainbench: Command) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(EXAMPLE / "trainer.c", folder)
    result = trainbench(*arguments(folder, tmp_path / "out"))
    assert "trainer mine has no tuned learning rate" in failed_sentence(result)
