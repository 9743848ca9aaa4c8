"""From a paper suite and what the user has of its data to parts that can be run, and cells that cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.frontends import load_backbone
from engine.schemes import network_shape
from fixtures.datasets import Report, not_reported
from fixtures.paper import Network, find_network
from harness.errors import UsageError
from harness.paper.options import PaperOptions, check_options, wanted_methods
from harness.paper.parts import Part, Protocol, accuracy_parts, cost_parts, describe_reduction
from harness.paper.suite import PaperMethod, PaperSuite
from harness.provenance import file_digest
from harness.run.request import check_targets, default_out

SOURCE_OF_NETWORKS = "mit-han-lab/tiny-training has it in algorithm/assets/mcu_models"


@dataclass(frozen=True)
class Absent:
    """A cell that cannot be run, and why: one sentence."""

    protocol: Protocol
    network: str
    dataset: str
    method: str
    reason: str


@dataclass(frozen=True)
class PaperRequest:
    """A paper suite as asked for. `remarks`: what puts the networks in doubt."""

    suite: PaperSuite
    out: Path
    parts: tuple[Part, ...]
    absent: tuple[Absent, ...]
    remarks: tuple[str, ...]
    reduced: str = ""
    """How it is reduced, one clause; empty: it is not."""


def make_paper_request(
    suite: PaperSuite, options: PaperOptions, report: Report = not_reported
) -> PaperRequest:
    """Find the data of every cell and check it; UsageError for what is wrong, not for what is missing.

    `report`: told of pictures read.
    """
    check_options(suite, options)
    out = (options.out or default_out(suite.name)).absolute()
    parts: list[Part] = []
    absent: list[Absent] = []
    remarks: list[str] = []
    for name in options.networks or suite.networks:
        network = find_network(name)
        path = find_backbone(network, options.data)
        if isinstance(path, Path) and file_digest(path) != network.sha256:
            remarks.append(
                f"{path} has the shape of {network.title} but is not the file the authors released"
            )
        for protocol, dataset, method in _cells(suite, name, options.methods):
            reason = method.unable or (path if isinstance(path, str) else "")
            reason = reason or _lacking_dataset(protocol, dataset, options)
            if reason:
                absent.append(Absent(protocol, name, dataset, method.name, reason))
        if isinstance(path, Path):
            parts += cost_parts(suite, name, path, out, options)
            parts += accuracy_parts(suite, name, path, out, options, report)
    check_targets(tuple(dict.fromkeys(target for part in parts for target in part.request.targets)))
    return PaperRequest(
        suite, out, tuple(parts), tuple(absent), tuple(remarks), describe_reduction(suite, options)
    )


def find_backbone(network: Network, folder: Path | None) -> Path | str:
    """The network's file in `folder`, or why there is none. UsageError for a file of another network."""
    if folder is None:
        return f"it needs --data FOLDER with {network.file} in it ({SOURCE_OF_NETWORKS})"
    path = folder.expanduser().absolute() / network.file
    if not path.is_file():
        return f"{folder} has no {network.file} ({SOURCE_OF_NETWORKS})"
    found = network_shape(load_backbone(path))
    if found != network.shape:
        raise UsageError(
            f"{path} is not {network.title}: it has {found[0]} convolutions with {found[1]} weights, not"
            f" {network.convolutions} with {network.convolution_weights}"
        )
    return path


def _cells(
    suite: PaperSuite, network: str, wanted: tuple[str, ...]
) -> Iterator[tuple[Protocol, str, PaperMethod]]:
    for method in wanted_methods(suite, network, wanted):
        if suite.cost is not None:
            yield "cost", "", method
        for dataset in suite.dataset_names:
            yield "accuracy", dataset, method


def _lacking_dataset(protocol: Protocol, dataset: str, options: PaperOptions) -> str:
    if protocol == "cost" or dataset in options.datasets:
        return ""
    return f"it needs the dataset: --dataset {dataset}=SPEC, such as {dataset}={_example(dataset)}"


def _example(dataset: str) -> str:
    return {"vww": "vww:COCO_FOLDER", "cifar10": "cifar10:FOLDER"}.get(dataset, "folder:FOLDER")
