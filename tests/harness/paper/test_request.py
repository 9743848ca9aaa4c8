"""What can be run of a suite, by what the user has."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.paper.options import PaperOptions, parse_datasets
from harness.paper.request import make_paper_request
from harness.paper.suite import load_paper_suite


def refused(name: str, **options: object) -> str:
    with pytest.raises(UsageError) as caught:
        make_paper_request(load_paper_suite(name), PaperOptions(**options))  # type: ignore[arg-type]
    return str(caught.value)


def test_without_data_every_cell_is_absent_with_a_reason() -> None:
    suite = load_paper_suite("paper-memory")
    request = make_paper_request(suite, PaperOptions())
    assert request.parts == ()
    assert len(request.absent) == sum(len(suite.methods_of(network)) for network in suite.networks)
    reasons = {absent.reason for absent in request.absent if absent.network == "mcunet-5fps"}
    (reason,) = reasons
    assert "--data FOLDER with mcunet-5fps.pkl" in reason and "mit-han-lab/tiny-training" in reason


def test_a_network_that_is_not_in_the_folder_is_absent(tmp_path: Path) -> None:
    request = make_paper_request(load_paper_suite("paper-latency"), PaperOptions(data=tmp_path))
    assert request.parts == ()
    assert all(f"{tmp_path} has no " in absent.reason for absent in request.absent)


def test_what_cannot_be_done_here_says_so_whatever_is_given() -> None:
    request = make_paper_request(load_paper_suite("paper-qas"), PaperOptions(methods=("int8-classifier",)))
    assert {absent.reason for absent in request.absent} == {
        "the classifier trains in float32; there is no int8 one here"
    }
    assert {absent.dataset for absent in request.absent} == set(load_paper_suite("paper-qas").dataset_names)


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("paper-memory", {"networks": ("resnet",)}, "no network named 'resnet'; there are: mbv2"),
        ("paper-memory", {"methods": ("magic",)}, "no method named 'magic'; there are: last-layer"),
        ("paper-memory", {"datasets": {"vww": "lfw"}}, "takes no --dataset"),
        ("paper-memory", {"reduced": True}, "has no reduced form"),
        ("paper-memory", {"data": Path("/nowhere")}, "--data /nowhere is not a folder"),
        ("paper-qas", {"datasets": {"mnist": "lfw"}}, "no dataset named 'mnist'; there are: cars"),
        ("paper-qas", {"targets": ("host",)}, "takes no --target"),
        ("paper-qas", {"steps": 40}, "takes no --steps"),
    ],
)
def test_what_a_suite_has_no_use_for_is_refused(name: str, options: dict[str, object], problem: str) -> None:
    message = refused(name, **options)
    assert name in message or "--data" in message
    assert problem in message


def test_datasets_are_given_by_name() -> None:
    assert parse_datasets(["vww=vww:/coco", "cars=folder:/a=b"]) == {
        "vww": "vww:/coco",
        "cars": "folder:/a=b",
    }
    for wrong in ("vww", "=lfw", "vww="):
        with pytest.raises(UsageError, match="takes NAME=SPEC"):
            parse_datasets([wrong])
    with pytest.raises(UsageError, match="given twice"):
        parse_datasets(["vww=lfw", "vww=lfw"])
