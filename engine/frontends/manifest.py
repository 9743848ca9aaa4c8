"""The structure of a backbone without its arrays, as JSON: half of our file format, and of the digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import NetworkFileError
from engine.frontends.backbone import Backbone, Block, ConvLayer, LayerQuantization, Residual, block_name
from engine.frontends.check import check_backbone

MAXIMUM_BLOCKS = 1000
ARRAY_FIELDS: dict[str, np.dtype[np.generic]] = {
    "weight": np.dtype(np.int8),
    "bias": np.dtype(np.int32),
    "weight_scales": np.dtype(np.float32),
}
"""The arrays of a layer and their dtypes; in a file each is called `<layer name>.<field>`."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class QuantizationPart(_Part):
    """See LayerQuantization."""

    scale: float
    zero_point: int


class ConvPart(_Part):
    """See ConvLayer."""

    stride: int
    depthwise: bool
    in_size: int
    out_size: int
    input: QuantizationPart
    output: QuantizationPart


class ResidualPart(_Part):
    """See Residual."""

    skip: QuantizationPart
    output: QuantizationPart


class BlockPart(_Part):
    """See Block."""

    pointwise1: ConvPart | None
    depthwise: ConvPart | None
    pointwise2: ConvPart | None
    residual: ResidualPart | None


class Manifest(_Part):
    """See Backbone."""

    format: Literal["trainbench-backbone"]
    version: Literal[1]
    name: str = Field(min_length=1, max_length=200)
    input_size: int
    stem: ConvPart
    blocks: list[BlockPart] = Field(max_length=MAXIMUM_BLOCKS)
    classifier: ConvPart | None


ArraySource = Callable[[str], np.ndarray]
"""Gives the array called `<layer name>.<field>`, or raises NetworkFileError."""


def parse_manifest(text: bytes) -> Manifest:
    """Parse the JSON bytes of a manifest; NetworkFileError names the first entry that is wrong."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the text"
        raise NetworkFileError(
            f"the manifest is not of format trainbench-backbone version 1: {place}: {first['msg']}"
        ) from None


def describe(backbone: Backbone) -> Manifest:
    """The manifest of `backbone`."""
    return Manifest(
        format="trainbench-backbone",
        version=1,
        name=backbone.name,
        input_size=backbone.input_size,
        stem=_conv_part(backbone.stem),
        blocks=[_block_part(block) for block in backbone.blocks],
        classifier=None if backbone.classifier is None else _conv_part(backbone.classifier),
    )


def build(manifest: Manifest, arrays: ArraySource) -> Backbone:
    """Join structure and arrays to a backbone that `check_backbone` has passed, with its digest."""
    classifier = manifest.classifier
    return finished(
        Backbone(
            name=manifest.name,
            input_size=manifest.input_size,
            stem=_conv_layer("stem", manifest.stem, arrays),
            blocks=tuple(_block(index, part, arrays) for index, part in enumerate(manifest.blocks)),
            classifier=None if classifier is None else _conv_layer("classifier", classifier, arrays),
            digest="",
        )
    )


def finished(backbone: Backbone) -> Backbone:
    """Check `backbone` and return it with read-only arrays and its digest."""
    check_backbone(backbone)
    for _, array in named_arrays(backbone):
        array.flags.writeable = False
    return replace(backbone, digest=backbone_digest(backbone))


def named_arrays(backbone: Backbone) -> Iterator[tuple[str, np.ndarray]]:
    """All arrays in the order of the layers, the classifier's last."""
    classifier = () if backbone.classifier is None else (backbone.classifier,)
    for layer in (*backbone.layers, *classifier):
        for field in ARRAY_FIELDS:
            yield f"{layer.name}.{field}", getattr(layer, field)


def backbone_digest(backbone: Backbone) -> str:
    """SHA-256 (hex) over the manifest without its name and over all arrays as little-endian C-order bytes."""
    structure = describe(backbone).model_dump(exclude={"name"})
    digest = hashlib.sha256(json.dumps(structure, sort_keys=True, separators=(",", ":")).encode())
    for name, array in named_arrays(backbone):
        digest.update(f"\n{name} {array.dtype.name} {list(array.shape)}\n".encode())
        digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def _quantization_part(quantization: LayerQuantization) -> QuantizationPart:
    return QuantizationPart(scale=quantization.scale, zero_point=quantization.zero_point)


def _conv_part(layer: ConvLayer) -> ConvPart:
    return ConvPart(
        stride=layer.stride,
        depthwise=layer.depthwise,
        in_size=layer.in_size,
        out_size=layer.out_size,
        input=_quantization_part(layer.input),
        output=_quantization_part(layer.output),
    )


def _block_part(block: Block) -> BlockPart:
    residual = block.residual
    return BlockPart(
        pointwise1=None if block.pointwise1 is None else _conv_part(block.pointwise1),
        depthwise=None if block.depthwise is None else _conv_part(block.depthwise),
        pointwise2=None if block.pointwise2 is None else _conv_part(block.pointwise2),
        residual=None
        if residual is None
        else ResidualPart(skip=_quantization_part(residual.skip), output=_quantization_part(residual.output)),
    )


def _quantization(part: QuantizationPart) -> LayerQuantization:
    return LayerQuantization(part.scale, part.zero_point)


def _conv_layer(name: str, part: ConvPart, arrays: ArraySource) -> ConvLayer:
    return ConvLayer(
        name=name,
        weight=arrays(f"{name}.weight"),
        bias=arrays(f"{name}.bias"),
        weight_scales=arrays(f"{name}.weight_scales"),
        stride=part.stride,
        depthwise=part.depthwise,
        in_size=part.in_size,
        out_size=part.out_size,
        input=_quantization(part.input),
        output=_quantization(part.output),
    )


def _block(index: int, part: BlockPart, arrays: ArraySource) -> Block:
    name = block_name(index)

    def layer(field: str, conv: ConvPart | None) -> ConvLayer | None:
        return None if conv is None else _conv_layer(f"{name}.{field}", conv, arrays)

    residual = part.residual
    return Block(
        name=name,
        pointwise1=layer("pointwise1", part.pointwise1),
        depthwise=layer("depthwise", part.depthwise),
        pointwise2=layer("pointwise2", part.pointwise2),
        residual=None
        if residual is None
        else Residual(_quantization(residual.skip), _quantization(residual.output)),
    )
