from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_networks import full, shared_backbone, sparse, training_module

from engine.codegen.layout import state_bytes
from engine.errors import SchemeError
from engine.frontends.backbone import Backbone
from engine.schemes import (
    LayerUpdate,
    Scheme,
    check_scheme,
    describe_weights,
    extra_memory,
    layer_updates,
    load_scheme,
    network_shape,
    read_scheme,
    scheme_names,
    trained_weights,
)
from fixtures.schemes import LIBRARY

MCUNET, MBV2, PROXYLESS = "mcunet-5fps", "mbv2-w0.35", "proxyless-w0.3"

PUBLISHED_KB = {
    MCUNET: {
        "sparse-49kb": 49.8,
        "sparse-74kb": 74.8,
        "sparse-99kb": 99.8,
        "sparse-124kb": 125.0,
        "sparse-148kb": 148.4,
        "last:6": 276.3,
        "last:12": 448.0,
        "last:42": 1400.4,
        "bias-only:6": 12.9,
        "bias-only:12": 22.8,
        "bias-only:42": 121.3,
    },
    MBV2: {
        "sparse-49kb": 49.8,
        "sparse-73kb": 73.9,
        "sparse-99kb": 99.4,
        "sparse-123kb": 123.6,
        "sparse-138kb": 138.2,
        "last:6": 129.5,
        "last:12": 223.7,
        "last:51": 1306.4,
        "bias-only:6": 9.0,
        "bias-only:12": 16.9,
        "bias-only:51": 134.2,
    },
    PROXYLESS: {
        "sparse-49kb": 49.7,
        "sparse-74kb": 74.9,
        "sparse-98kb": 98.5,
        "sparse-120kb": 120.2,
        "sparse-148kb": 148.2,
        "last:6": 139.3,
        "last:12": 266.4,
        "last:60": 1210.7,
        "bias-only:6": 7.8,
        "bias-only:12": 15.3,
        "bias-only:60": 113.4,
    },
}
"""Extra training memory of the paper's schemes, recomputed by its rule: KB of 1024 bytes, 10 classes."""

STATE_BYTES = {
    MCUNET: {"sparse-49kb": 36_904, "sparse-99kb": 78_088, "full": 493_688, "last-layer": 6_440},
    MBV2: {"sparse-49kb": 39_442, "sparse-99kb": 77_112, "full": 266_248, "last-layer": 4_520},
    PROXYLESS: {"sparse-49kb": 38_568, "sparse-98kb": 81_832, "full": 346_360, "last-layer": 3_880},
}
LOW_BYTES = {
    MCUNET: {"sparse-49kb": 12_096, "sparse-99kb": 52_480},
    MBV2: {"sparse-49kb": 22_410, "sparse-99kb": 55_920},
    PROXYLESS: {"sparse-49kb": 20_736, "sparse-98kb": 62_976},
}


@pytest.mark.parametrize("network", PUBLISHED_KB)
def test_published_extra_memory(network: str) -> None:
    backbone = shared_backbone(network)
    found = {
        spec: extra_memory(load_scheme(spec, backbone, LIBRARY), backbone) / 1024
        for spec in PUBLISHED_KB[network]
    }
    assert found == pytest.approx(PUBLISHED_KB[network], abs=0.0501)


def test_the_published_table_is_complete() -> None:
    assert sum(map(len, PUBLISHED_KB.values())) == 33


@pytest.mark.parametrize("network", STATE_BYTES)
def test_state_is_as_large_as_the_memory_floor_says(network: str) -> None:
    backbone = shared_backbone(network)
    for spec, expected in STATE_BYTES[network].items():
        scheme = load_scheme(spec, backbone, LIBRARY)
        graph = training_module(backbone, scheme, classes=10).graph
        assert state_bytes(graph) == -(-expected // 4) * 4, spec
        low = LOW_BYTES[network].get(spec)
        if low is not None:
            extended = training_module(backbone, scheme, classes=10, rounding="extended").graph
            assert state_bytes(extended) == -(-(expected + low) // 4) * 4, spec


def test_published_schemes_name_their_network() -> None:
    published = [name for name in scheme_names(LIBRARY) if not name.startswith("searched-")]
    assert len(published) == 15
    assert [name for name in scheme_names(LIBRARY, [(42, 463_216)]) if name in published] == [
        "sparse-124kb",
        "sparse-148kb",
        "sparse-49kb",
        "sparse-74kb",
        "sparse-99kb",
    ]


# What is updated


def test_full_updates_everything(backbone: Backbone) -> None:
    updates = layer_updates(load_scheme("full", backbone, LIBRARY), backbone)
    expected = [LayerUpdate(True, tuple(range(layer.in_channels))) for layer in backbone.layers]
    assert list(updates) == expected


def test_last_layer_updates_no_convolution(backbone: Backbone) -> None:
    updates = layer_updates(load_scheme("last-layer", backbone, LIBRARY), backbone)
    assert set(updates) == {LayerUpdate(False, ())}


@pytest.mark.parametrize(("spec", "weights"), [("bias-only:3", False), ("last:3", True)])
def test_counted_forms_update_the_last_layers(backbone: Backbone, spec: str, weights: bool) -> None:
    updates = layer_updates(load_scheme(spec, backbone, LIBRARY), backbone)
    count = len(backbone.layers)
    assert [update.bias for update in updates] == [False] * (count - 3) + [True] * 3
    assert [bool(update.channels) for update in updates] == [False] * (count - 3) + [weights] * 3


@pytest.mark.parametrize("spec", ["bias-only:0", "last:23", "bias-only:9999"])
def test_counts_beyond_the_network_are_refused(backbone: Backbone, spec: str) -> None:
    with pytest.raises(
        SchemeError, match=f"scheme {spec}: the backbone has 22 convolutions, so K is 1 to 22"
    ):
        load_scheme(spec, backbone, LIBRARY)


def test_an_unknown_name_lists_what_there_is(backbone: Backbone, tmp_path: Path) -> None:
    shape = network_shape(backbone)
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "a.toml").write_text(
        f'name = "mine"\n[network]\nconvolutions = {shape[0]}\nconvolution_weights = {shape[1]}\n'
    )
    (folder / "b.toml").write_text('name = "other"\n[network]\nconvolutions = 1\nconvolution_weights = 1\n')
    assert load_scheme("mine", backbone, tmp_path).name == "mine"
    with pytest.raises(
        SchemeError, match="there are: full, last-layer, bias-only:K, last:K, mine, or the path"
    ):
        load_scheme("other", backbone, tmp_path)


def test_magnitude_takes_the_channels_of_the_largest_real_weights(backbone: Backbone) -> None:
    for number, layer in enumerate(backbone.layers):
        real = np.abs(layer.weight * layer.weight_scales[:, None, None, None].astype(np.float64))
        norms = real.sum(axis=(1, 2, 3)) if layer.depthwise else real.sum(axis=(0, 2, 3))
        scheme = Scheme("s", "", 0, ((number, 0.5),))
        chosen = layer_updates(scheme, backbone)[number].channels
        rest = sorted(set(range(layer.in_channels)) - set(chosen))
        assert len(chosen) == max(1, round(layer.in_channels / 2))
        assert list(chosen) == sorted(chosen)
        assert min(norms[list(chosen)]) >= max(norms[rest])


def test_magnitude_ignores_the_sign_and_prefers_lower_channels_at_a_tie(backbone: Backbone) -> None:
    layer = backbone.layers[2]
    weight = np.full_like(layer.weight, 3)
    weight[:, 2:] = -3
    even = replace(layer, weight=weight)
    block = replace(backbone.blocks[0], pointwise2=even)
    changed = replace(backbone, blocks=(block, *backbone.blocks[1:]))
    assert layer_updates(Scheme("s", "", 0, ((2, 0.6),)), changed)[2].channels == (0, 1, 2)


def test_first_takes_the_first_channels(backbone: Backbone) -> None:
    scheme = Scheme("s", "", 0, ((3, 0.5),), selection="first")
    assert layer_updates(scheme, backbone)[3].channels == (0, 1, 2)


def test_a_ratio_updates_at_least_one_channel(backbone: Backbone) -> None:
    assert len(layer_updates(Scheme("s", "", 0, ((3, 0.01),)), backbone)[3].channels) == 1


def test_extra_memory_counts_by_the_papers_rule(backbone: Backbone) -> None:
    assert extra_memory(Scheme("none", "", 0, ()), backbone) == 10
    last = backbone.layers[-1]
    mask_bits, bias_bits = last.out_size**2 * last.out_channels, 32 * last.out_channels
    assert extra_memory(Scheme("bias", "", 1, ()), backbone) == (mask_bits + bias_bits + 7) // 8 + 10
    number = len(backbone.layers) - 1
    channels, weights = last.in_size**2 * 9, last.weight.size
    expected = (mask_bits + 7) // 8 + channels + weights + 10
    assert extra_memory(Scheme("weights", "", 0, ((number, 1.0),)), backbone) == expected
    wider = (mask_bits + 7) // 8 + 4 * (channels + weights + 10)
    assert extra_memory(Scheme("weights", "", 0, ((number, 1.0),)), backbone, 32) == wider


def test_trained_weights_of_depthwise_and_dense_layers(backbone: Backbone) -> None:
    stem, depthwise = backbone.layers[0], backbone.layers[1]
    assert trained_weights(stem, LayerUpdate(False, (0, 2))) == 2 * 5 * 9
    assert trained_weights(depthwise, LayerUpdate(False, (0, 2))) == 2 * 9
    assert trained_weights(stem, LayerUpdate(True, ())) == 0


def test_weights_are_described_for_reports(backbone: Backbone) -> None:
    assert describe_weights(sparse(backbone))[:2] == ("conv0 r=0.67", "conv3 r=0.5")


# Files


def written(folder: Path, text: str) -> Path:
    path = folder / "scheme.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_all_that_a_scheme_is(tmp_path: Path, backbone: Backbone) -> None:
    shape = network_shape(backbone)
    path = written(
        tmp_path,
        f"""
        name = "mine"
        description = "what I like"
        selection = "first"
        [network]
        convolutions = {shape[0]}
        convolution_weights = {shape[1]}
        [bias]
        last = 4
        [weights]
        10 = 1
        9 = 0.25
        """,
    )
    expected = Scheme("mine", "what I like", 4, ((9, 0.25), (10, 1.0)), "first", shape)
    assert load_scheme(str(path), backbone, LIBRARY) == expected


def test_an_empty_file_updates_the_classifier_and_is_named_after_the_file(tmp_path: Path) -> None:
    assert read_scheme(written(tmp_path, "")) == Scheme("scheme", "", 0, ())


BROKEN = {
    "no TOML": ("name = ", "is not valid TOML"),
    "unknown key": ('nmae = "x"', "unknown key 'nmae'; known are name, description"),
    "unknown key in a table": ("[bias]\nfirst = 3", "unknown key 'first'; known are last"),
    "empty table": ("[bias]", "last should be a whole number, found None"),
    "half a network": (
        "[network]\nconvolutions = 3",
        "convolution_weights should be a whole number, found None",
    ),
    "table as a number": ("bias = 3", r"\[bias\] should be a table, found 3"),
    "name as a number": ("name = 3", "name should be a text, found 3"),
    "negative count": ("[bias]\nlast = -1", "last should be a whole number, found -1"),
    "count as truth": ("[bias]\nlast = true", "last should be a whole number, found True"),
    "count as a fraction": ("[bias]\nlast = 1.5", "last should be a whole number, found 1.5"),
    "layer by name": ("[weights]\nstem = 1.0", r"\[weights\] keys are convolution numbers, found 'stem'"),
    "foreign digits": ('[weights]\n"٣" = 1.0', r"\[weights\] keys are convolution numbers, found '٣'"),
    "layer twice": ("[weights]\n3 = 1.0\n03 = 0.5", r"\[weights\] gives convolution 3 two ratios"),
    "ratio zero": ("[weights]\n3 = 0.0", r"ratio of convolution 3 should be in \(0, 1\], found 0.0"),
    "ratio above one": ("[weights]\n3 = 1.5", "found 1.5"),
    "ratio not a number": ("[weights]\n3 = nan", "found nan"),
    "ratio as truth": ("[weights]\n3 = true", "found True"),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused(tmp_path: Path, case: tuple[str, str]) -> None:
    text, message = case
    with pytest.raises(SchemeError, match=f"scheme file .*scheme.toml.*{message}"):
        read_scheme(written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path, backbone: Backbone) -> None:
    with pytest.raises(SchemeError, match=r"none.toml cannot be read: No such file"):
        load_scheme(str(tmp_path / "none.toml"), backbone, LIBRARY)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "scheme.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SchemeError, match="is not valid TOML"):
        read_scheme(tmp_path / "scheme.toml")


MISFITS = {
    "another network": (
        Scheme("s", "", 0, (), network=(42, 463_216)),
        "for a network of 42 convolutions and 463216 weights, but small has 22 and",
    ),
    "too many biases": (Scheme("s", "", 23, ()), "biases of the last 23 of 22 convolutions"),
    "unknown selection": (
        Scheme("s", "", 0, (), "largest"),
        "selection 'largest'; known are first, magnitude",
    ),
    "no such layer": (Scheme("s", "", 0, ((22, 1.0),)), "convolution 22, but small has 0 to 21"),
}


@pytest.mark.parametrize("case", MISFITS.values(), ids=MISFITS)
def test_a_scheme_that_does_not_fit_is_refused(backbone: Backbone, case: tuple[Scheme, str]) -> None:
    scheme, message = case
    with pytest.raises(SchemeError, match=f"scheme s.*{message}"):
        check_scheme(scheme, backbone)
    check_scheme(full(backbone), backbone)
