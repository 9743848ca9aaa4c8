"""The cut of the forward pass: its peak is the lowest there is, and streaming is used only where it helps."""

from __future__ import annotations

from itertools import product

import pytest
from small_networks import (
    all_groups,
    full,
    schemes,
    shared_backbone,
    small_backbone,
    sparse_wide,
    training_module,
    wide_backbone,
)

from engine.autodiff import GRADIENTS
from engine.channel_groups import ChannelRegion
from engine.graph import Graph, Phase
from engine.liveness import live_bytes, peak_live_bytes
from engine.regions import GROUPS, SLACK, STRIPS, choose_regions
from engine.schemes import load_scheme
from engine.streaming import Region, chain_end
from fixtures.schemes import LIBRARY


def with_slack(peak: int) -> int:
    """The highest peak that is as good."""
    return peak + peak // SLACK


def all_cuts(graph: Graph, first: int, count: int) -> list[tuple[Region, ...]]:
    """Every way to cut operators [first, count) into single ones and chains of at most three."""
    if first >= count:
        return [()]
    cuts = list(all_cuts(graph, first + 1, count))
    end = chain_end(graph, first, graph.readers())
    for last in range(first + 2, min(end, first + 3, count) + 1):
        if graph.operators[last - 1].kind == "add" and last != end:
            continue
        rest = all_cuts(graph, last, count)
        height = graph.tensor(graph.operators[last - 1].output("y")).shape[0]
        for strip in (strip for strip in STRIPS if strip < height):
            cuts.extend((Region(first, last, strip), *cut) for cut in rest)
    return cuts


@pytest.mark.parametrize("scheme_name", ["last-layer", "sparse"])
def test_no_cut_of_the_first_operators_has_a_lower_peak(scheme_name: str) -> None:
    backbone = small_backbone()
    graph = training_module(backbone, schemes(backbone)[scheme_name]).graph
    chosen = peak_live_bytes(graph, choose_regions(graph))
    later = choose_regions(graph)
    for cut in all_cuts(graph, 0, 7):
        rest = tuple(region for region in later if region.first >= 7)
        if cut and rest and cut[-1].last > rest[0].first:
            continue
        assert chosen <= with_slack(peak_live_bytes(graph, (*cut, *rest)))


def test_nothing_is_streamed_where_the_backward_pass_needs_more() -> None:
    backbone = small_backbone()
    graph = training_module(backbone, full(backbone)).graph
    assert peak_live_bytes(graph) == peak_live_bytes(graph, choose_regions(graph))
    assert choose_regions(graph) == ()


@pytest.mark.parametrize(("network", "scheme"), list(product(["mcunet-5fps", "mbv2-w0.35"], ["last-layer"])))
def test_a_published_network_is_bound_by_its_image(network: str, scheme: str) -> None:
    """With the early blocks streamed little more than the image itself is live at the peak."""
    backbone = shared_backbone(network)
    graph = training_module(backbone, load_scheme(scheme, backbone, LIBRARY), classes=10).graph
    live = live_bytes(graph, choose_regions(graph))
    assert max(live) < 128 * 128 * 3 + 12 * 1024
    assert max(live) < peak_live_bytes(graph) / 2


def backward_peak(graph: Graph, regions: tuple[ChannelRegion, ...]) -> int:
    first = sum(op.phase is Phase.FORWARD for op in graph.operators)
    return max(live_bytes(graph, regions)[first:])


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_no_groups_of_one_size_have_a_lower_peak(gradient: str) -> None:
    backbone = wide_backbone()
    graph = training_module(backbone, sparse_wide(backbone), gradient=gradient).graph
    chosen = peak_live_bytes(graph, choose_regions(graph))
    by_rows = tuple(region for region in choose_regions(graph) if isinstance(region, Region))
    for channels in GROUPS:
        assert chosen <= with_slack(peak_live_bytes(graph, (*by_rows, *all_groups(graph, channels))))


@pytest.mark.parametrize(
    ("network", "gradient"), [("mcunet-5fps", "f32"), ("mcunet-5fps", "i16"), ("mbv2-w0.35", "f32")]
)
def test_groups_lower_the_peak_of_a_published_network(network: str, gradient: str) -> None:
    """Each region that is chosen lowers the peak: without any one of them it is higher."""
    backbone = shared_backbone(network)
    graph = training_module(
        backbone, load_scheme("sparse-99kb", backbone, LIBRARY), classes=10, gradient=gradient
    ).graph
    chosen = choose_regions(graph)
    peak = peak_live_bytes(graph, chosen)
    groups = tuple(region for region in chosen if isinstance(region, ChannelRegion))
    assert groups
    assert backward_peak(graph, groups) <= peak < backward_peak(graph, ())
    assert peak < 64 * 1024
    for region in groups:
        without = tuple(other for other in chosen if other is not region)
        assert peak_live_bytes(graph, without) > peak
