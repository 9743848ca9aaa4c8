"""The paper's suites under pytest: cells without data are skipped with what they would need."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SUITES = Path(__file__).parents[3] / "suites"
QUIET = ("-q", "-rs", "-p", "no:cacheprovider")


def test_cells_without_data_are_skipped_with_what_they_need(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess(*QUIET, "--target", "host", "--suite", "paper-vww")
    assert result.ret == 0, result.stdout.str()
    outcomes = result.parseoutcomes()
    assert set(outcomes) == {"skipped"}
    text = result.stdout.str()
    assert "it needs --data FOLDER with mcunet-5fps.pkl" in text


def test_one_test_a_cell(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess(
        *("--collect-only", "-q", "-p", "no:cacheprovider"), "--target", "host", "--suite", "paper-memory"
    )
    text = result.stdout.str()
    assert "test_the_cell_ran[mcunet-5fps sparse-49kb]" in text
    assert "test_the_cell_ran[mbv2-w0.35 full-fp32]" in text
    assert text.count("test_the_cell_ran") == 37


def test_they_are_left_out_where_nothing_is_given_for_them(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess(
        *("--collect-only", "-q", "-p", "no:cacheprovider"), "--target", "host"
    )
    text = result.stdout.str()
    assert "test_sram_is_as_planned[sparse-49kb]" in text
    assert "test_the_cell_ran" not in text


def test_without_a_target_the_modules_are_skipped(pytester: pytest.Pytester) -> None:
    module = SUITES / "paper_latency" / "test_paper_latency.py"
    result = pytester.runpytest_subprocess(*QUIET, str(module))
    assert set(result.parseoutcomes()) == {"skipped"}


def test_data_given_wrongly_is_one_sentence(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess(
        *(*QUIET, "--target", "host", "--suite", "paper-vww"),
        *("--paper-dataset=mnist=lfw", "-k", "the_cell_ran"),
    )
    assert "errors" in result.parseoutcomes()
    assert "suite paper-vww has no dataset named 'mnist'; there are: vww" in result.stdout.str()
