"""What a network file holds: the int8 convolutions of a mobile backbone and the parameters that join them.

A backbone is a stem, a row of inverted-bottleneck blocks, global average pooling, and the classifier it
was pretrained with (if the file keeps it). All convolutions are square with padding kernel // 2; the clamp
of the int8 output is the activation. Tensors are quantized asymmetrically, real = scale · (integer -
zero_point); weights symmetrically per output channel, real = weight_scales[o] · weight[o].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

INPUT_CHANNELS = 3
INPUT_SCALE = 1 / 127.5
INPUT_ZERO_POINT = 0


@dataclass(frozen=True)
class LayerQuantization:
    """Quantization of one activation tensor: real = scale · (integer - zero_point), integer int8."""

    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False)
class ConvLayer:
    """One int8 convolution, stride and padding the same in both directions.

    weight: int8 [O, I, K, K], or [O, 1, K, K] where depthwise. bias: int32 [O] at scale
    input.scale · weight_scales. weight_scales: float32 [O]. in_size, out_size: height and width in pixels.
    """

    name: str
    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    weight_scales: NDArray[np.float32]
    stride: int
    depthwise: bool
    in_size: int
    out_size: int
    input: LayerQuantization
    output: LayerQuantization

    @property
    def out_channels(self) -> int:
        """O."""
        return int(self.weight.shape[0])

    @property
    def in_channels(self) -> int:
        """I; equal to O where depthwise."""
        return int(self.weight.shape[0 if self.depthwise else 1])

    @property
    def kernel_size(self) -> int:
        """K."""
        return int(self.weight.shape[2])


@dataclass(frozen=True)
class Residual:
    """The sum at the end of a block: its input, quantized as `skip`, plus its last convolution's output."""

    skip: LayerQuantization
    output: LayerQuantization


@dataclass(frozen=True, eq=False)
class Block:
    """An inverted bottleneck; the convolutions that are present run in the order of the fields."""

    name: str
    pointwise1: ConvLayer | None
    depthwise: ConvLayer | None
    pointwise2: ConvLayer | None
    residual: Residual | None

    @property
    def layers(self) -> tuple[ConvLayer, ...]:
        """The convolutions that are present, in order."""
        return tuple(
            layer for layer in (self.pointwise1, self.depthwise, self.pointwise2) if layer is not None
        )

    @property
    def output(self) -> LayerQuantization:
        """Quantization of what the block hands on."""
        return self.layers[-1].output if self.residual is None else self.residual.output


@dataclass(frozen=True, eq=False)
class Backbone:
    """A checked network: the loaders return it only after `check_backbone`.

    input_size: height and width of the RGB input, int8 pixel - 128. classifier: 1×1 convolution after global
    average pooling, or None. digest: SHA-256 (hex) over structure, parameters and arrays, not over the name.
    """

    name: str
    input_size: int
    stem: ConvLayer
    blocks: tuple[Block, ...]
    classifier: ConvLayer | None
    digest: str

    @property
    def layers(self) -> tuple[ConvLayer, ...]:
        """All convolutions from the stem on, without the classifier; a layer's number is its place here."""
        return tuple(self._convolutions())

    def _convolutions(self) -> Iterator[ConvLayer]:
        yield self.stem
        for block in self.blocks:
            yield from block.layers

    @property
    def features(self) -> LayerQuantization:
        """Quantization of the last block's output, which the average pooling reads."""
        return self.blocks[-1].output if self.blocks else self.stem.output


def block_name(index: int) -> str:
    """`block00`, `block01`, …: the name of a block, and the prefix of its layers' names."""
    return f"block{index:02d}"
