"""The compiler's work is kept between builds, and a firmware is the same with it and without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.firmware.build import build_firmware
from harness.firmware.compiler_cache import compiler_prefix
from harness.targets import load_target

TRAINER = """
#include "trainer.h"
static trainer_info_t info = {.abi_version = TRAINER_ABI_VERSION, .network = __FILE__};
static int8_t input[4];
const trainer_info_t *trainer_info(void) { return &info; }
void trainer_reset(uint32_t seed) { input[0] = (int8_t)seed; }
void trainer_set_learning_rate(float learning_rate) { (void)learning_rate; }
int8_t *trainer_input(void) { return input; }
const float *trainer_predict(void) { return 0; }
float trainer_train_step(uint32_t label) { return (float)label; }
const float *trainer_logits(void) { return 0; }
uint32_t trainer_state_count(void) { return 0u; }
trainer_span_t trainer_state_span(uint32_t index) { return (trainer_span_t){"", input, index}; }
trainer_span_t trainer_arena_span(void) { return (trainer_span_t){"", input, 0u}; }
"""


def digest(folder: Path) -> str:
    trainer = folder / "trainer"
    trainer.mkdir(parents=True)
    shutil.copy(Path(__file__).parents[3] / "engine" / "runtime" / "trainer.h", trainer)
    (trainer / "trainer.c").write_text(TRAINER)
    return build_firmware(trainer, load_target("host"), folder / "host").digest


def test_neither_the_cache_nor_the_folder_is_seen_in_the_firmware(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiler_prefix():
        pytest.skip("ccache is not installed; run: apt install ccache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    filled, kept = digest(tmp_path / "first"), digest(tmp_path / "deep" / "er")
    assert any((tmp_path / "cache" / "trainbench" / "ccache").rglob("*R"))
    monkeypatch.setattr("harness.firmware.build.compiler_prefix", tuple)
    assert digest(tmp_path / "without") == filled == kept


def test_without_ccache_the_compiler_runs_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert compiler_prefix() == ()
