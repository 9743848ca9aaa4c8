"""Backbone → float32 graph: real weights, activation functions, what is refused; autograd beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from real_loss import RealStep, directions
from small_networks import (
    LINEAR,
    RECTIFIED,
    full,
    image,
    schemes,
    shared_backbone,
    small_backbone,
    training_module,
)

from engine.errors import NetworkFileError
from engine.frontends.backbone import Backbone, ConvLayer, LayerQuantization, Residual
from engine.lowering_float import (
    is_rectified,
    lower_float,
    real_bias,
    real_weights,
    rectifier_limit,
)
from engine.operators.floating.reference import LIMIT
from engine.schemes import Scheme
from engine.verifier import verify

LABEL = 2
TOLERANCE = 1e-6
"""Of gradients beside autograd's: weights are float32, all else float64."""


def with_output(backbone: Backbone, name: str, output: LayerQuantization) -> Backbone:
    """The backbone with another quantization of one layer's output; what reads it is not changed."""
    blocks = tuple(
        replace(
            block,
            **{
                field: replace(layer, output=output)
                for field in ("pointwise1", "depthwise", "pointwise2")
                if (layer := getattr(block, field)) is not None and layer.name == name
            },
        )
        for block in backbone.blocks
    )
    return replace(backbone, blocks=blocks)


def test_weights_and_biases_are_what_the_integers_stand_for(backbone: Backbone) -> None:
    for layer in backbone.layers:
        real = layer.weight.astype(np.float64) * layer.weight_scales[:, None, None, None]
        kept = real_weights(layer).astype(np.float64)
        back = kept.transpose(2, 0, 1)[:, None] if layer.depthwise else kept.transpose(3, 2, 0, 1)
        assert np.allclose(back, real, rtol=1e-7, atol=0)
        bias = layer.bias * (layer.input.scale * layer.weight_scales.astype(np.float64))
        assert np.allclose(real_bias(layer), bias, rtol=1e-6, atol=0)
        assert not np.signbit(real_bias(layer)[real_bias(layer) == 0]).any()


def test_zero_points_tell_activation_functions(backbone: Backbone) -> None:
    module = verify(lower_float(backbone, full(backbone), classes=3))
    operators = {op.name: op for op in module.graph.operators}
    for layer in backbone.layers:
        op = operators[layer.name]
        assert is_rectified(layer) == (layer.output == RECTIFIED) == bool(op.integer("rectified"))
        clamp = (op.number("low"), op.number("high"))
        assert clamp == ((0.0, 6.0) if layer.output == RECTIFIED else (-LIMIT, LIMIT))
    assert {layer.output for layer in backbone.layers} == {RECTIFIED, LINEAR}


@pytest.mark.parametrize(
    ("top", "limit"), [(0.5, 6.0), (5.99, 6.0), (6.0, 6.0), (6.01, 6.0), (6.02, LIMIT), (40.0, LIMIT)]
)
def test_one_range_above_6_makes_all_rectifiers_plain(backbone: Backbone, top: float, limit: float) -> None:
    changed = with_output(backbone, "block02.depthwise", LayerQuantization(top / 255, -128))
    assert rectifier_limit(changed) == limit
    module = lower_float(changed, full(changed), classes=3)
    highs = {op.number("high") for op in module.graph.operators if dict(op.attributes).get("rectified")}
    assert highs == {limit}


@pytest.mark.parametrize("network", ["mcunet-5fps", "mbv2-w0.35", "proxyless-w0.3"])
def test_published_networks_have_relu6_but_after_projections(network: str) -> None:
    backbone = shared_backbone(network)
    assert rectifier_limit(backbone) == 6.0
    linear = {layer.name for layer in backbone.layers if not is_rectified(layer)}
    assert linear == {layer.name for layer in backbone.layers if layer.name.endswith("pointwise2")}


def test_an_activation_function_after_a_sum_is_refused(backbone: Backbone) -> None:
    blocks = list(backbone.blocks)
    assert blocks[1].residual is not None
    blocks[1] = replace(blocks[1], residual=Residual(blocks[1].residual.skip, RECTIFIED))
    message = "block01: the zero point of its residual sum is -128, as if an activation function followed it"
    with pytest.raises(NetworkFileError, match=message):
        lower_float(replace(backbone, blocks=tuple(blocks)), full(backbone), classes=3)


def test_what_could_become_infinite_is_refused(backbone: Backbone) -> None:
    scales = np.full_like(backbone.stem.weight_scales, 1e17)
    stem = replace(backbone.stem, weight_scales=scales)
    with pytest.raises(
        NetworkFileError, match=r"layer stem: its real weights reach 1\.27e\+19; at most 1\.15e\+18"
    ):
        lower_float(replace(backbone, stem=stem), full(backbone), classes=3)
    wide = np.zeros((5, 7282, 3, 3), np.int8)
    stem = replace(backbone.stem, weight=wide)
    with pytest.raises(
        NetworkFileError, match="layer stem: a sum has 65538 products; at most 65536 are possible"
    ):
        lower_float(replace(backbone, stem=stem), Scheme("none", "", 0, ()), classes=3)


@pytest.mark.parametrize("scheme_name", ["full", "sparse", "bias-only", "last-layer"])
def test_gradients_are_finite_differences(backbone: Backbone, scheme_name: str) -> None:
    module = training_module(backbone, schemes(backbone)[scheme_name], precision="fp32")
    step = RealStep(module, image(1), LABEL, generic=False)
    assert step.state_gradients.keys() == step.state.keys()
    for seed, (name, gradient) in enumerate(step.state_gradients.items()):
        assert gradient.any(), name
        assert step.error(name, gradient, directions(gradient.shape, seed, 1)) < 1e-5, name


def test_float32_gradients_are_the_real_ones(backbone: Backbone) -> None:
    """What the kernels compute is float64 semantics up to rounding, value by value."""
    from small_networks import with_classifier

    from engine.interpreter import Interpreter

    module = training_module(backbone, full(backbone), precision="fp32")
    single, double = (with_classifier(Interpreter(module, real=real)) for real in (False, True))
    picture = image(3)
    found, expected = (each.values(picture, LABEL) for each in (single, double))
    names = [tensor.name for tensor in module.graph.tensors if tensor.in_arena and tensor.dtype == "f32"]
    assert len(names) > 100
    for name in names:
        error = np.linalg.norm(found[name] - expected[name])
        assert error <= 1e-4 * np.linalg.norm(expected[name]), name


class TorchNetwork:
    """The same network out of PyTorch's operators, float64; of ours it knows the state's names and order."""

    def __init__(self, backbone: Backbone, state: dict[str, Any]) -> None:
        self.torch = pytest.importorskip("torch")
        self.backbone = backbone
        self.parameters = {
            name: self.torch.tensor(data, dtype=self.torch.float64, requires_grad=True)
            for name, data in state.items()
        }

    def loss(self, picture: Any, label: int) -> Any:
        torch, quantization = self.torch, self.backbone.stem.input
        real = (picture.astype(np.float64) - quantization.zero_point) * quantization.scale
        x = self._convolution(self.backbone.stem, torch.tensor(real).permute(2, 0, 1).unsqueeze(0))
        for block in self.backbone.blocks:
            y = x
            for layer in block.layers:
                y = self._convolution(layer, y)
            x = y if block.residual is None else x + y
        features = x.mean(dim=(0, 2, 3))
        logits = self.parameters["classifier.weight"] @ features + self.parameters["classifier.bias"]
        return torch.nn.functional.cross_entropy(logits.unsqueeze(0), torch.tensor([label]))

    def _convolution(self, layer: ConvLayer, x: Any) -> Any:
        stored = self.parameters[f"{layer.name}.weight"]  # [K, K, I, O], depthwise [K, K, C]
        weight = stored.permute(2, 0, 1).unsqueeze(1) if layer.depthwise else stored.permute(3, 2, 0, 1)
        y = self.torch.nn.functional.conv2d(
            x,
            weight,
            self.parameters[f"{layer.name}.bias"],
            stride=layer.stride,
            padding=layer.kernel_size // 2,
            groups=layer.in_channels if layer.depthwise else 1,
        )
        return self.torch.nn.functional.relu6(y) if layer.output.zero_point == -128 else y


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["small", "mcunet-5fps", "mbv2-w0.35", "proxyless-w0.3"])
def test_state_gradients_are_those_of_autograd(name: str) -> None:
    backbone = small_backbone() if name == "small" else shared_backbone(name)
    module = training_module(backbone, full(backbone), classes=10, precision="fp32")
    step = RealStep(module, image(1, backbone.input_size), LABEL, generic=False)
    network = TorchNetwork(backbone, dict(step.state))
    loss = network.loss(step.image, LABEL)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(step.values["loss"]), rel=1e-9)
    errors = {}
    for state, found in step.state_gradients.items():
        expected = network.parameters[state].grad.numpy()
        size = np.linalg.norm(expected)
        assert size > 0, state
        errors[state] = float(np.linalg.norm(found - expected) / size)
    assert len(errors) == 2 * len(backbone.layers) + 2
    assert {state: error for state, error in errors.items() if not error < TOLERANCE} == {}


@pytest.mark.oracle
def test_the_comparison_notices_a_wrong_activation(backbone: Backbone) -> None:
    """A linear layer taken for a rectified one gives other gradients."""
    step = RealStep(
        training_module(backbone, full(backbone), precision="fp32"), image(1), LABEL, generic=False
    )
    wrong = with_output(backbone, "block03.pointwise2", RECTIFIED)
    network = TorchNetwork(wrong, dict(step.state))
    network.loss(step.image, LABEL).backward()
    expected = network.parameters["stem.weight"].grad.numpy()
    difference = np.linalg.norm(step.state_gradients["stem.weight"] - expected)
    assert difference > 100 * TOLERANCE * np.linalg.norm(expected)


def test_a_scheme_without_convolutions_trains_the_classifier(backbone: Backbone) -> None:
    module = training_module(backbone, Scheme("none", "", 0, ()), precision="fp32")
    assert [tensor.name for tensor in module.graph.with_role("state")] == [  # type: ignore[arg-type]
        "classifier.weight",
        "classifier.bias",
    ]
