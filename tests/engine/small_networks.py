"""A small quantized backbone with every feature the compiler has to get right, and schemes for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.channel_groups import ChannelRegion
from engine.channel_groups import chain_end as group_chain_end
from engine.compiler import CompileOptions, build_module
from engine.frontends import load_backbone
from engine.frontends.backbone import Backbone, Block, ConvLayer, LayerQuantization, Residual, block_name
from engine.frontends.check import check_backbone
from engine.graph import Array, Graph, Module, Phase
from engine.interpreter import Interpreter
from engine.schemes import Scheme
from engine.streaming import Region, chain_end

SIZE = 16
CLASSES = 4
SHARED_DATA = Path("/work/shared/data")
INPUT = LayerQuantization(1 / 127.5, 0)
RECTIFIED = LayerQuantization(4 / 255, -128)
"""The clamp at 0 is a ReLU: about half of the outputs are masked."""
LINEAR = LayerQuantization(5 / 255, 7)
"""About two in a hundred outputs are clamped."""

DEAD_LAYER, DEAD_CHANNEL = "block03.pointwise1", 4


@dataclass
class _Draft:
    """Builds layers one after the other, each reading what the last one wrote."""

    generator: np.random.Generator
    channels: int = 3
    size: int = SIZE
    quantization: LayerQuantization = INPUT

    def layer(
        self,
        name: str,
        outputs: int,
        kernel: int,
        stride: int,
        output: LayerQuantization,
        *,
        depthwise: bool = False,
    ) -> ConvLayer:
        inputs, size = self.channels, self.size
        shape = (outputs, 1 if depthwise else inputs, kernel, kernel)
        fan_in = shape[1] * kernel * kernel
        real = self.generator.normal(0.0, 1.6 / np.sqrt(fan_in), shape)
        scales = (np.abs(real).reshape(outputs, -1).max(axis=1) / 127).astype(np.float32)
        weight = np.rint(real / scales[:, None, None, None]).astype(np.int8)
        bias = np.rint(self.generator.normal(0.1, 0.3, outputs) / (self.quantization.scale * scales))
        self.channels, self.size = outputs, (size - 1) // stride + 1
        found = ConvLayer(
            name=name,
            weight=weight,
            bias=bias.astype(np.int32),
            weight_scales=scales,
            stride=stride,
            depthwise=depthwise,
            in_size=size,
            out_size=self.size,
            input=self.quantization,
            output=output,
        )
        self.quantization = output
        return found

    def block(
        self,
        index: int,
        expansion: int | None,
        kernel: int | None,
        stride: int,
        outputs: int | None,
        *,
        residual: bool = False,
    ) -> Block:
        name, skip = block_name(index), self.quantization
        first = None if expansion is None else self.layer(f"{name}.pointwise1", expansion, 1, 1, RECTIFIED)
        middle = (
            None
            if kernel is None
            else self.layer(f"{name}.depthwise", self.channels, kernel, stride, RECTIFIED, depthwise=True)
        )
        last = None if outputs is None else self.layer(f"{name}.pointwise2", outputs, 1, 1, LINEAR)
        joint = None
        if residual:
            joint = Residual(skip, LayerQuantization(6 / 255, -3))
            self.quantization = joint.output
        return Block(name, first, middle, last, joint)


def small_backbone(seed: int = 0) -> Backbone:
    """Odd channel counts; kernels 1, 3, 5, 7; strides 1, 2, 3, above the kernel too; maps down to 1×1; blocks
    with a residual sum in a row, one without expansion, one without projection; a dead channel with a
    saturated bias.
    """
    draft = _Draft(np.random.default_rng(seed))
    stem = draft.layer("stem", 5, 3, 2, RECTIFIED)
    blocks = (
        draft.block(0, None, 3, 1, 6),
        draft.block(1, 11, 5, 1, 6, residual=True),
        draft.block(2, 9, 7, 2, 7),
        draft.block(3, 13, 3, 1, 7, residual=True),
        draft.block(4, 8, 3, 1, 7, residual=True),
        draft.block(5, None, 1, 3, 8),
        draft.block(6, 10, 7, 2, None),
        draft.block(7, 9, 5, 1, 10, residual=True),
    )
    return _checked("small", stem, tuple(map(_with_dead_channel, blocks)))


def wide_backbone(seed: int = 0) -> Backbone:
    """Expansions of 16 to 40 channels, multiples of 8, which the backward pass can run by groups: kernels 3,
    5 and 7 at strides 1 and 2, with and without a residual sum, one block without expansion.
    """
    draft = _Draft(np.random.default_rng(seed))
    stem = draft.layer("stem", 8, 3, 2, RECTIFIED)
    blocks = (
        draft.block(0, None, 3, 1, 6),
        draft.block(1, 24, 5, 1, 6, residual=True),
        draft.block(2, 40, 7, 2, 7),
        draft.block(3, 16, 3, 1, 7, residual=True),
        draft.block(4, 40, 5, 1, 7, residual=True),
        draft.block(5, 24, 3, 2, 8),
        draft.block(6, 32, 3, 1, 9),
    )
    return _checked("wide", stem, blocks)


def tiny_backbone() -> Backbone:
    """The least that has a residual sum, with weights that can be written down: for golden files."""
    quantization = LayerQuantization(0.05, -4)

    def layer(name: str, inputs: int, outputs: int, kernel: int, size: int, stride: int = 1) -> ConvLayer:
        depthwise = kernel == 3 and inputs == outputs
        shape = (outputs, 1 if depthwise else inputs, kernel, kernel)
        count = int(np.prod(shape))
        return ConvLayer(
            name=name,
            weight=((np.arange(count) * 37 % 101) - 50).astype(np.int8).reshape(shape),
            bias=(np.arange(outputs) * 30 - 40).astype(np.int32),
            weight_scales=(0.01 + 0.002 * np.arange(outputs)).astype(np.float32),
            stride=stride,
            depthwise=depthwise,
            in_size=size,
            out_size=(size - 1) // stride + 1,
            input=INPUT if inputs == 3 else quantization,
            output=quantization,
        )

    block = Block(
        "block00",
        None,
        layer("block00.depthwise", 4, 4, 3, 3),
        layer("block00.pointwise2", 4, 4, 1, 3),
        Residual(quantization, LayerQuantization(0.06, 1)),
    )
    stem = layer("stem", 3, 4, 3, 5, 2)
    return _checked("tiny", stem, (block,), size=5)


def _with_dead_channel(block: Block) -> Block:
    """As post-training quantization leaves one: a scale near nothing and a bias that saturates int32."""
    layer = block.pointwise1
    if layer is None or layer.name != DEAD_LAYER:
        return block
    scales, bias = layer.weight_scales.copy(), layer.bias.copy()
    scales[DEAD_CHANNEL], bias[DEAD_CHANNEL] = 1e-8, 2**31 - 1
    return replace(block, pointwise1=replace(layer, weight_scales=scales, bias=bias))


def _checked(name: str, stem: ConvLayer, blocks: tuple[Block, ...], size: int = SIZE) -> Backbone:
    backbone = Backbone(name, size, stem, blocks, None, digest="0" * 64)
    check_backbone(backbone)
    return backbone


def full(backbone: Backbone) -> Scheme:
    count = len(backbone.layers)
    return Scheme("full", "all of it", count, tuple((index, 1.0) for index in range(count)))


def sparse(backbone: Backbone) -> Scheme:
    """Half, a third or all of the input channels of a few layers of every kind, the stem among them."""
    numbers = {layer.name: number for number, layer in enumerate(backbone.layers)}
    ratios = {
        "stem": 0.67,
        "block01.pointwise1": 0.5,
        "block02.depthwise": 0.5,
        "block03.pointwise1": 0.4,
        "block04.pointwise2": 1.0,
        "block06.depthwise": 0.6,
        "block07.pointwise1": 1.0,
        "block07.pointwise2": 0.34,
    }
    weights = tuple(sorted((numbers[name], ratio) for name, ratio in ratios.items()))
    return Scheme("sparse", "some of it", 12, weights)


def schemes(backbone: Backbone) -> dict[str, Scheme]:
    count = len(backbone.layers)
    return {
        "full": full(backbone),
        "last-layer": Scheme("last-layer", "", 0, ()),
        "bias-only": Scheme("bias-only:9", "", min(9, count), ()),
        "sparse": sparse(backbone),
    }


def image(seed: int, size: int = SIZE) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-128, 128, (size, size, 3), dtype=np.int8)


def training_module(backbone: Backbone, scheme: Scheme, **options: object) -> Module:
    """float32 gradients unless the options say otherwise."""
    chosen = {"classes": CLASSES, "gradient": "f32", **options}
    return build_module(backbone, scheme, CompileOptions(**chosen))[0]  # type: ignore[arg-type]


def longest_chains(graph: Graph, strip: int) -> tuple[Region, ...]:
    """Everything that can be streamed by rows, in chains as long as they go."""
    readers, regions = graph.readers(), []
    index = 0
    while index < len(graph.operators) and graph.operators[index].phase is Phase.FORWARD:
        last = chain_end(graph, index, readers)
        if last > index + 1:
            regions.append(Region(index, last, strip))
        index = last
    return tuple(regions)


def sparse_wide(backbone: Backbone) -> Scheme:
    """As published schemes are: biases of the later layers, weights of some expansions, whole or in part."""
    numbers = {layer.name: number for number, layer in enumerate(backbone.layers)}
    ratios = {
        "block01.pointwise1": 0.5,
        "block03.pointwise1": 1.0,
        "block04.pointwise1": 0.4,
        "block05.pointwise2": 0.3,
        "block06.pointwise1": 0.25,
    }
    weights = tuple(sorted((numbers[name], ratio) for name, ratio in ratios.items()))
    return Scheme("sparse", "some expansions", 17, weights)


def all_groups(graph: Graph, channels: int) -> tuple[ChannelRegion, ...]:
    """Everything that can be run by groups of channels, as early as it can be."""
    readers, regions = graph.readers(), []
    index = 0
    while index < len(graph.operators):
        last = group_chain_end(graph, index, readers)
        if last > index + 1:
            regions.append(ChannelRegion(index, last, channels))
        index = last
    return tuple(regions)


def with_classifier(interpreter: Interpreter, seed: int = 5) -> Interpreter:
    """Give the classifier, which starts at zero, values that let gradients through."""
    generator = np.random.default_rng(seed)
    for name in ("classifier.weight", "classifier.bias"):
        start: Array = interpreter.state[name]
        interpreter.state[name] = generator.normal(0.0, 0.7, start.shape).astype(start.dtype)
    return interpreter


def shared_backbone(name: str) -> Backbone:
    path = SHARED_DATA / f"{name}.pkl"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return load_backbone(path)


def photographs(count: int) -> list[NDArray[np.int8]]:
    """Of 128 × 128 pixels, as the published networks take them."""
    path = SHARED_DATA / "coco_mix_128.npz"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    with np.load(path) as archive:
        pixels = archive["x"][:count]
    return [(photograph.astype(np.int16) - 128).astype(np.int8) for photograph in pixels]
