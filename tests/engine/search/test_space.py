from __future__ import annotations

import pytest
from small_networks import small_backbone, tiny_backbone

from engine.errors import SchemeError
from engine.schemes import check_scheme, layer_updates
from engine.search.space import Choice, describe, first_pointwise, from_scheme, make_space, to_scheme


def test_weights_are_searched_in_the_expansions_and_depths_end_at_blocks() -> None:
    backbone = small_backbone()
    names = [layer.name for layer in backbone.layers]
    space = make_space(backbone)
    assert [names[layer] for layer in space.layers] == [
        f"block0{number}.pointwise1" for number in (1, 2, 3, 4, 6, 7)
    ]
    starts = {names[len(names) - depth] for depth in space.depths if depth}
    assert starts == {"stem", *(block.layers[0].name for block in backbone.blocks)}


def test_every_layer_and_every_depth() -> None:
    backbone = small_backbone()
    space = make_space(backbone, "all", "all", (1.0, 0.5))
    assert space.layers == tuple(range(len(backbone.layers)))
    assert space.depths == tuple(range(len(backbone.layers) + 1))
    assert space.ratios == (0.5, 1.0)


def test_each_layer_has_the_depth_it_is_measured_at() -> None:
    for layers in ("first-pointwise", "all"):
        space = make_space(small_backbone(), layers)
        assert {space.depth_of(layer) for layer in space.layers} <= set(space.depths)


def test_a_block_without_expansion_has_no_layer() -> None:
    assert first_pointwise(tiny_backbone()) == ()


def test_a_choice_is_the_scheme_it_says() -> None:
    backbone = small_backbone()
    choice = Choice(9, ((15, 0.5),))
    scheme = to_scheme(choice, backbone)
    check_scheme(scheme, backbone)
    updates = layer_updates(scheme, backbone)
    assert sum(update.bias for update in updates) == 9
    assert [number for number, update in enumerate(updates) if update.channels] == [15]
    assert from_scheme(scheme) == choice
    assert scheme.name == describe(choice) == "b9 w15:0.5"


@pytest.mark.parametrize(
    ("arguments", "word"), [(("some",), "some"), (("all", "few"), "few"), (("all", "all", (0.0,)), "ratios")]
)
def test_names_and_ratios_that_make_no_space(arguments: tuple[str, ...], word: str) -> None:
    with pytest.raises(SchemeError, match=word):
        make_space(small_backbone(), *arguments)
