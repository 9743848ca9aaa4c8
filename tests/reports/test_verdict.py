"""The verdict says what the intervals support, and nothing beyond."""

from __future__ import annotations

from types import ModuleType

from harness.results.comparison import compare
from harness.results.document import Digests, RunDocument
from reports.sentences import Finding
from reports.verdict import findings, headline, lead

EMULATOR = "qemu-mps2-an500"
THIN = "\u202f"


def said(documents: list[RunDocument]) -> dict[str, str]:
    """heading → plain text, of all findings."""
    return {finding.heading: plain(finding) for finding in findings(compare(documents))}


def plain(finding: Finding) -> str:
    return finding.text.striptags().replace(THIN, " ")


def test_the_lead_names_figures_and_what_is_lacking(factory: ModuleType) -> None:
    text = lead(compare(factory.documents())).striptags().replace(THIN, " ")
    assert text.startswith("On qemu-mps2-an500 (Cortex-M7), sparse-49kb reached 91.9 % (95 % interval ")
    assert "with 154.7 KB of peak SRAM; last-layer reached 85.9 %" in text
    assert text.endswith(
        "but needs 1.33 MB of peak SRAM and misses the 320 KB of STM32F746 by 1 066 871 bytes."
    )


def test_the_headline_method_is_not_picked_by_accuracy(factory: ModuleType) -> None:
    """sparse-99kb is more accurate on these test images; sparse-49kb needs less SRAM."""
    assert headline(compare(factory.documents()), EMULATOR) == ["sparse-49kb", "last-layer", "full"]


def test_better_and_cannot_be_told_apart(factory: ModuleType) -> None:
    text = said(factory.documents())["Accuracy against last-layer"]
    better, rest = text.split("Cannot be told apart:")
    assert better.startswith("Better: sparse-49kb (+6.0 points, 95 % interval ")
    assert "sparse-99kb" in better
    assert "bias-only:12" not in better
    assert "bias-only:12 (+0.6 points, 95 % interval \u22121.0 to +2.7)" in rest


def test_worse_is_said_too(factory: ModuleType) -> None:
    assert "Worse: last-layer (\u2212" in said(factory.documents())["Accuracy against full"]


def test_one_seed_and_few_images_claim_nothing(factory: ModuleType) -> None:
    def cut(method: str) -> RunDocument:
        run: RunDocument = factory.document(method, "host", 0)
        assert run.accuracy is not None
        fields = ("test_labels", "predicted_before", "predicted_after")
        few = {field: getattr(run.accuracy, field)[:12] for field in fields}
        return run.model_copy(update={"accuracy": run.accuracy.model_copy(update=few)})

    text = said([cut("sparse-49kb"), cut("last-layer")])
    assert "Better" not in text["Accuracy against last-layer"]
    assert "Cannot be told apart: sparse-49kb" in text["Accuracy against last-layer"]
    assert text["One seed"].startswith("last-layer and sparse-49kb: with one seed")


def test_training_without_effect_is_said(factory: ModuleType) -> None:
    run = factory.document("sparse-49kb", "host", 0)
    same = run.accuracy.model_copy(update={"predicted_after": run.accuracy.predicted_before})
    text = said([run.model_copy(update={"accuracy": same})])
    assert text["No effect seen"].startswith(
        "What sparse-49kb predicts after training cannot be told apart from before"
    )


def test_budget(factory: ModuleType) -> None:
    assert said(factory.documents())["320\u202fKB of STM32F746"] == (
        "On qemu-mps2-an500, last-layer, bias-only:12, sparse-49kb and sparse-99kb fit; "
        "full misses it by 1 066 871 bytes."
    )


def test_equal_digests_are_said(factory: ModuleType) -> None:
    found = findings(compare(factory.documents()))
    assert not any(finding.alarm for finding in found)
    (same,) = (finding for finding in found if finding.heading == "Same bits")
    assert plain(same).endswith(
        "equal on host and qemu-mps2-an500 for 5 methods, after at least 1 200 training steps."
    )


def test_a_different_digest_is_the_first_thing_said(factory: ModuleType) -> None:
    wrong = (Digests(steps=30, state="0" * 64), Digests(steps=factory.STEPS, state="1" * 64))
    runs = [factory.document("full", "host", 0), factory.document("full", EMULATOR, 0, digests=wrong)]
    found = findings(compare(runs))
    assert found[0].alarm and found[0].heading == "State digests differ"
    assert "full with seed 0 after 30 steps: host" in plain(found[0])
    assert "against qemu-mps2-an500 000000000000" in plain(found[0])
    assert "Same bits" not in {finding.heading for finding in found}
    assert any("no equal state digest" in plain(finding) for finding in found if finding.alarm)


def test_an_accuracy_nobody_vouches_for(factory: ModuleType) -> None:
    found = findings(compare([factory.document("full", EMULATOR, 0)]))
    assert [finding.heading for finding in found if finding.alarm] == ["Accuracy not shown for this target"]


def test_contradictions_are_alarms_and_name_their_runs(factory: ModuleType) -> None:
    run = factory.document("full", "host", 0)
    assert run.sram is not None
    odd = run.model_copy(update={"sram": run.sram.model_copy(update={"untouched_outside": False})})
    (alarm,) = (finding for finding in findings(compare([odd])) if finding.alarm)
    assert plain(alarm).startswith("full on host, seed 0: painting found bytes touched outside")


def test_cautions_are_said_without_alarm(factory: ModuleType) -> None:
    runs = [factory.document("full", "host", seed, warnings=("the link was slow",)) for seed in (0, 1)]
    found = findings(compare(runs))
    assert not any(finding.alarm for finding in found)
    assert plain(found[-1]) == "all runs: the link was slow."


def test_a_failed_run_still_shows_that_its_state_differs(factory: ModuleType) -> None:
    wrong = (Digests(steps=30, state="0" * 64),)
    run = factory.document("full", EMULATOR, 0, digests=wrong, accuracy=None)
    failed = run.model_copy(update={"status": "failed", "reason": "another state"})
    found = findings(compare([factory.document("full", "host", 0), failed]))
    assert [finding.heading for finding in found if finding.alarm] == ["State digests differ"]


def test_missing_runs_are_counted(factory: ModuleType) -> None:
    assert (
        said(factory.documents())["Missing"] == "Of 30 runs, 1 failed and 1 was not run; the table says why."
    )


def test_nothing_done(factory: ModuleType) -> None:
    text = lead(compare([factory.document(*factory.FAILED)])).striptags()
    assert text == "No run on host was finished."


def test_names_are_escaped(factory: ModuleType) -> None:
    run = factory.document("full", "host", 0).model_copy(update={"method": "<img src=x>"})
    text = lead(compare([run]))
    assert "<img" not in text
    assert "&lt;img src=x&gt;" in text
