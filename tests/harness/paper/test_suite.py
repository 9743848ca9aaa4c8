from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.paper import published_figures
from harness.errors import HarnessError, UsageError
from harness.paper.suite import load_paper_suite, paper_suite_names
from harness.suite import suite_names

GOOD = """
title = "t"
description = "d"
networks = ["mcunet-5fps"]
tables = ["Table 1"]
[accuracy]
datasets = [{ name = "vww", title = "VWW" }]
epochs = 1
warmup_epochs = 0
learning_rates = [0.1]
[[methods]]
name = "full"
"""


def test_the_five_suites_are_there_and_no_ordinary_ones() -> None:
    names = {"paper-latency", "paper-memory", "paper-qas", "paper-sparse", "paper-vww"}
    assert set(paper_suite_names()) == names
    assert not names & set(suite_names())


@pytest.mark.parametrize("name", paper_suite_names())
def test_every_method_of_the_paper_has_a_cell(name: str) -> None:
    """What a table of the suite may stand beside exists, so that no figure is lost to a misspelt name."""
    suite = load_paper_suite(name)
    assert suite.test_module.is_file()
    for figure in published_figures():
        if figure.table not in suite.tables or not figure.methods:
            continue
        known = {method.name for method in suite.methods_of(figure.network)}
        assert known & set(figure.methods), figure.place
        if figure.figure == "accuracy_after":
            assert figure.dataset in (*suite.dataset_names, "mean"), figure.place


def test_all_published_schemes_are_measured() -> None:
    suite = load_paper_suite("paper-memory")
    schemes = [figure for figure in published_figures() if figure.figure == "extra_memory"]
    assert len(schemes) == 33
    for figure in schemes:
        (method,) = figure.methods
        assert method in {one.name for one in suite.methods_of(figure.network)}


def test_an_unknown_suite_names_those_of_both_kinds() -> None:
    with pytest.raises(UsageError, match=r"there are: .*paper-memory.*people-detection"):
        load_paper_suite("nothing")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('"mcunet-5fps"', '"resnet"', "no network named 'resnet'; there are: mbv2-w0.35"),
        ('"Table 1"', '"Table 99"', "no table of the paper named 'Table 99'"),
        ('name = "full"', 'name = "full"\nnetworks = ["mbv2-w0.35"]', "no network of this suite named"),
        ('name = "full"', 'name = "full"\n[[methods]]\nname = "full"', "two methods have the same name"),
        ('name = "full"', 'name = "full"\nrule = "magic"', "methods.0.rule"),
        ("epochs = 1", "epochs = 0", "epochs"),
        (
            "[accuracy]",
            '[reduced]\nsample = "1/0/1"\nepochs = 1\nwarmup_epochs = 0\nseeds = 1\n[accuracy]',
            "sample",
        ),
        ("[[methods]]", '[[orders]]\ntitle = "o"\ntable = "Table 5"\n[[methods]]', "no table of this suite"),
        ("title =", "titel =", "title: Field required"),
    ],
)
def test_a_malformed_suite_is_named(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in GOOD
    path = tmp_path / "bad" / "paper.toml"
    path.parent.mkdir()
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(HarnessError) as caught:
        load_paper_suite("bad", tmp_path)
    assert str(path) in str(caught.value)
    assert problem in str(caught.value)


def test_the_good_one_is_good(tmp_path: Path) -> None:
    path = tmp_path / "good" / "paper.toml"
    path.parent.mkdir()
    path.write_text(GOOD, encoding="utf-8")
    assert load_paper_suite("good", tmp_path).dataset_names == ("vww",)
