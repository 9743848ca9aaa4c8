"""Our gradients beside PyTorch's autograd, on a floating-point copy of each network: `pytest -m oracle`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_loss import RealStep
from small_networks import full, image, shared_backbone, small_backbone, training_module

from engine.autodiff import GRADIENTS
from engine.frontends import load_backbone
from engine.frontends.backbone import Backbone, Block, ConvLayer, LayerQuantization
from engine.graph import Array
from engine.lowering import layer_parameters

pytestmark = pytest.mark.oracle

TOLERANCE = 1e-4
LABEL = 2
EMBEDDED = Path(__file__).parents[2] / "fixtures" / "backbones" / "mcunet-5fps-cifar10.npz"
NETWORKS = ("small", "mcunet-5fps", "mbv2-w0.35", "proxyless-w0.3", "embedded")


def backbone_of(name: str) -> Backbone:
    if name == "small":
        return small_backbone()
    if name == "embedded":
        if not EMBEDDED.exists():
            pytest.skip(f"{EMBEDDED} has not been made yet")
        return load_backbone(EMBEDDED)
    return shared_backbone(name)


class TorchNetwork:
    """The same network out of PyTorch's operators, float64, NCHW; of our graph it knows the state names."""

    def __init__(self, backbone: Backbone, state: Mapping[str, Array]) -> None:
        self.torch = pytest.importorskip("torch")
        self.backbone = backbone
        self.parameters = {
            name: self.torch.tensor(data, dtype=self.torch.float64, requires_grad=True)
            for name, data in state.items()
        }

    def loss(self, picture: Array, label: int) -> Any:
        torch = self.torch
        x = torch.tensor(picture.astype(np.float64)).permute(2, 0, 1).unsqueeze(0)
        x = self._convolution(self.backbone.stem, x)
        for block in self.backbone.blocks:
            x = self._block(block, x)
        features = self._features(x)
        logits = self.parameters["classifier.weight"] @ features + self.parameters["classifier.bias"]
        return torch.nn.functional.cross_entropy(logits.unsqueeze(0), torch.tensor([label]))

    def _convolution(self, layer: ConvLayer, x: Any) -> Any:
        torch = self.torch
        p = layer_parameters(layer, quantization_aware_scaling=False)
        stored = self.parameters[f"{layer.name}.weight"]  # [O, K, K, I], depthwise [C, K, K]
        weight = stored.unsqueeze(1) if layer.depthwise else stored.permute(0, 3, 1, 2)
        sums = torch.nn.functional.conv2d(
            x - layer.input.zero_point,
            weight,
            self.parameters[f"{layer.name}.bias"],
            stride=layer.stride,
            padding=layer.kernel_size // 2,
            groups=layer.in_channels if layer.depthwise else 1,
        )
        scale = torch.tensor(p.multiplier.astype(np.float64) * 2.0 ** (p.shift - 32))
        return self._clamp(sums * scale.view(1, -1, 1, 1) + layer.output.zero_point)

    def _block(self, block: Block, x: Any) -> Any:
        skip = x
        for layer in block.layers:
            x = self._convolution(layer, x)
        if block.residual is None:
            return x
        last, out = block.layers[-1].output, block.residual.output
        total = self._real(skip, block.residual.skip) + self._real(x, last)
        return self._clamp(total / out.scale + out.zero_point)

    def _features(self, x: Any) -> Any:
        return self._real(x, self.backbone.features).mean(dim=(0, 2, 3))

    def _real(self, x: Any, quantization: LayerQuantization) -> Any:
        return (x - quantization.zero_point) * quantization.scale

    def _clamp(self, x: Any) -> Any:
        return self.torch.clamp(x, -128.0, 127.0)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("name", NETWORKS)
def test_state_gradients_are_those_of_autograd(name: str, gradient: str) -> None:
    """In both graphs; an int16 gradient is the real one here, its multipliers are what is compared."""
    backbone = backbone_of(name)
    module = training_module(backbone, full(backbone), classes=10, qas=False, gradient=gradient)
    step = RealStep(module, image(1, backbone.input_size), LABEL)
    network = TorchNetwork(backbone, step.state)
    loss = network.loss(step.image, LABEL)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(step.values["loss"]), rel=1e-9)
    errors = {}
    for state, found in step.state_gradients.items():
        expected = network.parameters[state].grad.numpy()
        alive = _alive(module.data, state)
        assert np.linalg.norm(expected[alive]) > 0, state
        difference = np.linalg.norm(found[alive] - expected[alive])
        errors[state] = float(difference / np.linalg.norm(expected[alive]))
    assert len(errors) == 2 * len(backbone.layers) + 2
    assert {state: error for state, error in errors.items() if not error < TOLERANCE} == {}


def _alive(data: Mapping[str, Array], state: str) -> Array:
    """Output channels that are updated: dead ones are frozen, whatever their gradient."""
    scale = data.get(f"{state}_update_scale")
    return np.ones(len(data[state]), bool) if scale is None else scale > 0


def test_the_comparison_notices_a_wrong_scale() -> None:
    """A hundredth more of one output scale changes the gradients by more than is let pass."""
    backbone = backbone_of("small")
    step = RealStep(training_module(backbone, full(backbone), qas=False), image(1), LABEL)
    network = TorchNetwork(backbone, step.state)
    network._real = lambda x, q: (x - q.zero_point) * q.scale * 1.01  # type: ignore[method-assign]
    network.loss(step.image, LABEL).backward()
    expected = network.parameters["stem.weight"].grad.numpy()
    difference = np.linalg.norm(step.state_gradients["stem.weight"] - expected)
    assert difference / np.linalg.norm(expected) > 10 * TOLERANCE
