"""Asking a trainer on the host: what it says of itself, and ways in which it does not keep to trainer.h."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import BuildError
from harness.targets import load_target
from harness.trainers.ask import ForeignTrainer, ask_trainer
from harness.trainers.build import missing_symbols
from harness.trainers.declaration import TrainerError, read_trainer

EXAMPLE = Path(__file__).parents[3] / "fixtures" / "trainers" / "logistic-regression"
Ask = Callable[[str, str], ForeignTrainer]

pytestmark = pytest.mark.skipif(shutil.which("clang") is None, reason="needs clang")


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Ask the example with one place of its source replaced."""

    def changed(pattern: str, text: str) -> ForeignTrainer:
        folder = tmp_path / "changed"
        shutil.copytree(EXAMPLE, folder)
        source = (folder / "trainer.c").read_text()
        assert re.search(pattern, source)
        (folder / "trainer.c").write_text(re.sub(pattern, text, source))
        return ask_trainer(read_trainer(folder), load_target("host"))

    return changed


def test_the_example_says_what_it_is() -> None:
    trainer = ask_trainer(read_trainer(EXAMPLE), load_target("host"))
    info = trainer.info
    assert (info.network, info.input_height, info.input_channels, info.classes) == (
        *("logistic-regression", 128, 3, 2),
    )
    assert info.state_bytes == 4 * (2 * 768 + 2)


@pytest.mark.parametrize(
    ("pattern", "text", "words"),
    [
        (r"= TRAINER_ABI_VERSION", "= 7", r"trainer logistic-regression: .* trainer\.h version 7"),
        (r"\.input_width = SIDE", ".input_width = 2 * SIDE", "says its input has 49152 bytes"),
        (r"return trainer_arena\.input;", "return 0;", "null pointer"),
        (r"return trainer_arena\.input;", "return (int8_t *)0x1000;", "input buffer .* not in the trainer's"),
        (r"return 2; }", "return 0; }", "its 0 spans have 0"),
        (r'\{"bias", trainer_state\.bias', '{"bias", trainer_state.weight', "overlap"),
        (r"sizeof trainer_state\.bias", "sizeof trainer_state", r"state|spans"),
    ],
)
def test_a_broken_trainer_is_told_in_one_sentence(ask: Ask, pattern: str, text: str, words: str) -> None:
    with pytest.raises(TrainerError, match=words) as caught:
        ask(pattern, text)
    assert "\n" not in str(caught.value)


def test_a_trainer_that_hangs_is_given_up(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.run.session.CALL_SECONDS", 1.0)
    with pytest.raises(TrainerError, match="trainer logistic-regression: host, while the firmware starts"):
        ask(r"return &info; }", "for (;;); }")


@pytest.mark.parametrize(
    ("pattern", "text", "words"),
    [
        (
            r"const float \*trainer_logits\(void\) \{ return logits; \}",
            "",
            "does not define trainer_logits, which trainer.h asks for",
        ),
        (r"return &info; }", "return &info }", "error: "),
    ],
)
def test_a_trainer_that_does_not_build_says_what_is_missing(
    ask: Ask, pattern: str, text: str, words: str
) -> None:
    with pytest.raises(BuildError, match=words):
        ask(pattern, text)


def test_pictures_that_no_dataset_has_are_refused(ask: Ask) -> None:
    with pytest.raises(TrainerError, match="128 x 128 pixels with 2 channels"):
        ask(r"#define CHANNELS 3", "#define CHANNELS 2")


def test_what_a_linker_misses_is_sorted_by_whose_it_is() -> None:
    output = "x.o: undefined reference to `trainer_reset'\ny.o: undefined reference to `expf'\n"
    assert missing_symbols(output) == (
        "it does not define trainer_reset, which trainer.h asks for; it uses expf, which nothing defines: its"
        " sources have to be complete, and there is no libm, no heap and no operating system"
    )
    assert missing_symbols("error: region RAM overflowed") == ""
