from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_networks import (
    DEAD_CHANNEL,
    DEAD_LAYER,
    RECTIFIED,
    full,
    schemes,
    shared_backbone,
    small_backbone,
    sparse,
    tiny_backbone,
)

from engine.errors import NetworkFileError
from engine.frontends.backbone import Backbone, ConvLayer, LayerQuantization
from engine.graph import Role
from engine.lowering import IMAGE, LayerParameters, layer_parameters, lower
from engine.operators.reference import bias_limit
from engine.schemes import Scheme, layer_updates
from engine.verifier import verify


def layer_of(backbone: Backbone, name: str) -> ConvLayer:
    return next(layer for layer in backbone.layers if layer.name == name)


def parameters(layer: ConvLayer, *, qas: bool = True) -> LayerParameters:
    return layer_parameters(layer, quantization_aware_scaling=qas)


def test_multipliers_are_the_scales(backbone: Backbone) -> None:
    for layer in backbone.layers:
        p = parameters(layer)
        scale = layer.input.scale * layer.weight_scales.astype(np.float64) / layer.output.scale
        alive = np.delete(np.arange(layer.out_channels), _dead(layer))
        assert np.allclose(p.multiplier[alive] * 2.0 ** (p.shift - 32), scale[alive], rtol=1e-6)
        assert np.array_equal(p.gradient_scale[alive], scale[alive].astype(np.float32))
        assert np.array_equal(p.weight[alive], layer.weight[alive])
        assert np.array_equal(p.bias[alive], layer.bias[alive])


def _dead(layer: ConvLayer) -> list[int]:
    return [DEAD_CHANNEL] if layer.name == DEAD_LAYER else []


def test_update_scales_are_equation_4(backbone: Backbone) -> None:
    for layer in backbone.layers:
        p, sw = parameters(layer), layer.weight_scales.astype(np.float64)
        alive = np.delete(np.arange(layer.out_channels), _dead(layer))
        assert np.array_equal(p.weight_update_scale[alive], (sw**-2).astype(np.float32)[alive])
        expected = ((sw * layer.input.scale) ** -2).astype(np.float32)
        assert np.array_equal(p.bias_update_scale[alive], expected[alive])
        plain = parameters(layer, qas=False)
        assert set(plain.weight_update_scale[alive]) == set(plain.bias_update_scale[alive]) == {1.0}


@pytest.mark.parametrize("qas", [True, False])
def test_a_rate_of_convolutions_is_part_of_their_update_scales(backbone: Backbone, qas: bool) -> None:
    """Rounded once; nothing else of a layer changes, and dead channels stay frozen."""
    for layer in backbone.layers:
        one = parameters(layer, qas=qas)
        faster = layer_parameters(layer, quantization_aware_scaling=qas, rate=1e6 / 3)
        alive = np.delete(np.arange(layer.out_channels), _dead(layer))
        sw = layer.weight_scales.astype(np.float64)[alive]
        scale = sw**-2 if qas else np.ones_like(sw)
        assert np.array_equal(faster.weight_update_scale[alive], (1e6 / 3 * scale).astype(np.float32))
        ratio = faster.bias_update_scale[alive] / one.bias_update_scale[alive]
        assert np.allclose(ratio, 1e6 / 3, rtol=1e-6)
        for dead in _dead(layer):
            assert faster.weight_update_scale[dead] == faster.bias_update_scale[dead] == 0
        assert np.array_equal(faster.gradient_scale, one.gradient_scale)


def test_a_dead_channel_keeps_its_output_and_is_never_updated(backbone: Backbone) -> None:
    layer = layer_of(backbone, DEAD_LAYER)
    for qas in (False, True):
        p = parameters(layer, qas=qas)
        assert p.weight_update_scale[DEAD_CHANNEL] == p.bias_update_scale[DEAD_CHANNEL] == 0.0
    real = layer.bias[DEAD_CHANNEL] * layer.input.scale * float(layer.weight_scales[DEAD_CHANNEL])
    found = float(p.bias[DEAD_CHANNEL]) * float(p.multiplier[DEAD_CHANNEL]) * 2.0 ** (p.shift - 32)
    assert found == pytest.approx(real / layer.output.scale, rel=1e-3)
    assert abs(int(p.bias[DEAD_CHANNEL])) <= bias_limit(p.shift)


def test_a_channel_without_weights_is_dead() -> None:
    layer = tiny_backbone().stem
    weight = layer.weight.copy()
    weight[2] = 0
    p = parameters(replace(layer, weight=weight))
    assert (p.weight_update_scale == 0).tolist() == [False, False, True, False]


def with_scales(layer: ConvLayer, scale: float) -> ConvLayer:
    return replace(layer, weight_scales=np.full_like(layer.weight_scales, scale))


def test_a_large_scale_takes_a_shift() -> None:
    layer = with_scales(tiny_backbone().stem, 40.0)
    p = parameters(layer)
    assert p.shift == 4
    assert np.allclose(p.multiplier * 2.0 ** (p.shift - 32), 40 / 127.5 / 0.05, rtol=1e-8)


TOO_LARGE = {
    "a scale": (
        lambda layer: with_scales(layer, 1e12),
        r"layer stem: Requantization scale .* is too large",
    ),
    "a bias": (
        lambda layer: replace(layer, bias=np.full(4, -(2**30) - 1, np.int32)),
        "layer stem: its largest bias is 1073741825, but sums fit 32 bits only up to 1073741824",
    ),
    "a bias beside a shift": (
        lambda layer: replace(with_scales(layer, 40.0), bias=np.full(4, 2**27, np.int32)),
        "layer stem: its largest bias is 134217728, but sums fit 32 bits only up to 67108864",
    ),
    "a sum": (
        lambda layer: replace(layer, weight=np.ones((4, 914, 3, 3), np.int8)),
        "layer stem: a sum of 8226 products may leave 32 bits; at most 8224 are possible",
    ),
    "the channels": (
        lambda layer: replace(
            layer,
            weight=np.ones((65_536, 1, 1, 1), np.int8),
            bias=np.zeros(65_536, np.int32),
            weight_scales=np.full(65_536, 0.01, np.float32),
        ),
        "layer stem: it has 65536 channels; at most 65535 are possible",
    ),
    "a scale of the updates": (
        lambda layer: replace(
            with_scales(layer, 1e-20), output=LayerQuantization(1e-18, 0), input=LayerQuantization(1e-2, 0)
        ),
        "layer stem: quantization-aware scaling would multiply a gradient by",
    ),
}


@pytest.mark.parametrize("case", TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_does_not_fit_the_kernels_is_refused(case: tuple) -> None:
    changed, message = case
    with pytest.raises(NetworkFileError, match=message):
        parameters(changed(tiny_backbone().stem))


def sums_of(layer: ConvLayer) -> tuple[int, int]:
    """Products in a sum of the input gradient, values in a sum of the bias gradient."""
    kernel = layer.kernel_size**2
    return kernel if layer.depthwise else kernel * layer.out_channels, layer.out_size**2


@pytest.mark.parametrize("network", ["small", "mbv2-w0.35"])
def test_gradient_multipliers_are_the_gradient_scales(network: str) -> None:
    backbone = small_backbone() if network == "small" else shared_backbone(network)
    module = lower(backbone, full(backbone), classes=3, quantization_aware_scaling=True)
    for layer in backbone.layers:
        tensor = module.graph.tensor(f"{layer.name}.gradient_multiplier")
        data, quantization = module.data[tensor.name].astype(np.float64), tensor.quantization
        assert quantization is not None
        scale = parameters(layer).gradient_scale.astype(np.float64)
        assert (np.abs(data * quantization.scale - scale) <= quantization.scale).all(), layer.name
        terms, pixels = sums_of(layer)
        largest = -(-int(data.max()) // 2**17)
        assert largest * 128 * terms < 2**31
        assert largest * pixels < 2**31
        assert data.max() >= 2**30 or terms > 1023, "all bits, where sums allow them"


def test_the_largest_fan_in_is_safe_whatever_the_weights_become() -> None:
    """Training may move every weight to -128: the limit does not depend on the values now."""
    layer = replace(tiny_backbone().stem, weight=np.ones((4, 913, 3, 3), np.int8))
    p = parameters(layer)
    worst = 913 * 9 * 128 * 255 + bias_limit(p.shift)
    assert worst << p.shift < 2**31


@pytest.mark.parametrize("network", ["mcunet-5fps", "mbv2-w0.35", "proxyless-w0.3"])
def test_published_networks_fit(network: str) -> None:
    backbone = shared_backbone(network)
    module = lower(backbone, full(backbone), classes=10, quantization_aware_scaling=True)
    verify(module)
    dead = sum(int((parameters(layer).weight_update_scale == 0).sum()) for layer in backbone.layers)
    assert dead == {"mcunet-5fps": 62, "mbv2-w0.35": 14, "proxyless-w0.3": 33}[network]


@pytest.mark.parametrize("scheme_name", ["full", "last-layer", "bias-only", "sparse"])
def test_where_weights_lie(backbone: Backbone, scheme_name: str) -> None:
    """Trained parts are state, the others constants; together they are the layer's weights in its order."""
    scheme = schemes(backbone)[scheme_name]
    module = lower(backbone, scheme, classes=3, quantization_aware_scaling=True)
    graph = module.graph
    for layer, update in zip(backbone.layers, layer_updates(scheme, backbone), strict=True):
        expected = layer.weight[:, 0] if layer.depthwise else layer.weight.transpose(0, 2, 3, 1)
        if layer.name == DEAD_LAYER:
            expected = parameters(layer).weight.transpose(0, 2, 3, 1)
        axis = 0 if layer.depthwise else 3
        name, rest = f"{layer.name}.weight", f"{layer.name}.weight_frozen"
        is_split = 0 < len(update.channels) < layer.in_channels
        assert (graph.tensor(name).role is Role.STATE) == bool(update.channels)
        assert (graph.tensor(f"{layer.name}.bias").role is Role.STATE) == update.bias
        assert graph.has(rest) == graph.has(f"{layer.name}.channels") == is_split
        found = module.data[name]
        if is_split:
            order = module.data[f"{layer.name}.channels"]
            assert order[: len(update.channels)].tolist() == list(update.channels)
            found = np.concatenate([found, module.data[rest]], axis).take(np.argsort(order), axis)
        assert np.array_equal(found, expected)


def test_state_is_in_network_order(backbone: Backbone) -> None:
    module = lower(backbone, sparse(backbone), classes=3, quantization_aware_scaling=True)
    numbers = {layer.name: number for number, layer in enumerate(backbone.layers)}
    state = [tensor.name for tensor in module.graph.with_role(Role.STATE)]
    assert state[-2:] == ["classifier.weight", "classifier.bias"]
    places = [numbers[name.rpartition(".")[0]] for name in state[:-2]]
    assert places == sorted(places)


def test_the_classifier_starts_at_zero_with_the_classes_asked_for(backbone: Backbone) -> None:
    module = lower(backbone, full(backbone), classes=7, quantization_aware_scaling=True)
    assert module.graph.tensor("classifier.weight").shape == (7, 10)
    assert not module.data["classifier.weight"].any()
    assert not module.data["classifier.bias"].any()


def test_the_pretrained_classifier_only_lends_its_quantization(backbone: Backbone) -> None:
    features = backbone.features
    layer = replace(backbone.blocks[7].pointwise2, name="old", input=features)  # type: ignore[type-var]
    with_classifier = replace(backbone, classifier=layer)
    scheme = Scheme("s", "", 0, ())
    modules = [
        lower(found, scheme, classes=3, quantization_aware_scaling=True)
        for found in (backbone, with_classifier)
    ]
    assert modules[0].graph == modules[1].graph


def test_numpy_numbers_become_plain_ones(backbone: Backbone) -> None:
    """The text form prints them; NumPy's own would print as calls."""
    stem = replace(backbone.stem, output=LayerQuantization(np.float64(RECTIFIED.scale), np.int64(-128)))  # type: ignore[arg-type]
    graph = lower(
        replace(backbone, stem=stem), full(backbone), classes=3, quantization_aware_scaling=True
    ).graph
    quantization = graph.tensor("stem.output").quantization
    assert quantization is not None
    assert type(quantization.scale) is float
    assert type(quantization.zero_point) is int
    assert graph.tensor(IMAGE).shape == (16, 16, 3)
