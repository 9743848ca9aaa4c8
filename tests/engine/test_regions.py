"""The cut of the forward pass: its peak is the lowest there is, and streaming is used only where it helps."""

from __future__ import annotations

from itertools import product

import pytest
from small_networks import full, schemes, shared_backbone, small_backbone, training_module

from engine.graph import Graph
from engine.liveness import live_bytes, peak_live_bytes
from engine.regions import STRIPS, choose_regions
from engine.schemes import load_scheme
from engine.streaming import Region, chain_end
from fixtures.schemes import LIBRARY


def all_cuts(graph: Graph, first: int, count: int) -> list[tuple[Region, ...]]:
    """Every way to cut operators [first, count) into single ones and chains of at most three."""
    if first == count:
        return [()]
    cuts = list(all_cuts(graph, first + 1, count))
    end = chain_end(graph, first, graph.readers())
    for last in range(first + 2, min(end, first + 3) + 1):
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
        assert peak_live_bytes(graph, (*cut, *rest)) >= chosen


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
