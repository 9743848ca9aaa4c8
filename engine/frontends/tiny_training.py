"""From the unpickled dictionaries of a tiny-training `.pkl` to a backbone.

Format: `first_conv`, `blocks` (`pointwise1`, `depthwise`, `pointwise2`, `residual`, `se`), `feature_mix`,
`classifier`. No activation functions: the clamp of the int8 output is the activation.
"""

from __future__ import annotations

from engine.errors import NetworkFileError
from engine.frontends.archive import Archive
from engine.frontends.backbone import (
    Backbone,
    Block,
    ConvLayer,
    LayerQuantization,
    Residual,
    block_name,
)
from engine.frontends.manifest import ARRAY_FIELDS, MAXIMUM_BLOCKS, finished
from engine.frontends.pickle_file import PickledArray, unpickle

_ARRAYS = {"weight": "weight", "bias": "bias", "weight_scales": "w_scales"}


def read_tiny_training(archive: Archive, entry: str, name: str) -> Backbone:
    """Return the backbone pickled in `entry`, checked and called `name`."""
    top = _dictionary(unpickle(archive.read(entry)), "the network")
    if _get(top, "feature_mix", "the network") is not None:
        raise NetworkFileError("the network has a feature_mix layer, which is not supported")
    blocks = _get(top, "blocks", "the network")
    if not isinstance(blocks, list) or len(blocks) > MAXIMUM_BLOCKS:
        raise NetworkFileError(f"the network's blocks are not a list of at most {MAXIMUM_BLOCKS}")
    stem = _layer("stem", _get(top, "first_conv", "the network"))
    classifier = _get(top, "classifier", "the network")
    return finished(
        Backbone(
            name=name,
            input_size=stem.in_size,
            stem=stem,
            blocks=tuple(_block(block_name(index), block) for index, block in enumerate(blocks)),
            classifier=None if classifier is None else _pooled_layer("classifier", classifier),
            digest="",
        )
    )


def _block(name: str, value: object) -> Block:
    fields = _dictionary(value, name)
    if _get(fields, "se", name) is not None:
        raise NetworkFileError(f"{name}: it has a squeeze-and-excitation layer, which is not supported")

    def layer(field: str) -> ConvLayer | None:
        found = _get(fields, field, name)
        return None if found is None else _layer(f"{name}.{field}", found)

    residual = _get(fields, "residual", name)
    return Block(
        name=name,
        pointwise1=layer("pointwise1"),
        depthwise=layer("depthwise"),
        pointwise2=layer("pointwise2"),
        residual=None if residual is None else _residual(f"{name}.residual", residual),
    )


def _residual(name: str, value: object) -> Residual:
    parameters = _dictionary(_get(_dictionary(value, name), "params", name), name)
    return Residual(_quantization(parameters, "x", name), _quantization(parameters, "y", name))


def _layer(name: str, value: object) -> ConvLayer:
    fields = _dictionary(value, name)
    if _get(fields, "act", name) is not None:
        raise NetworkFileError(
            f"{name}: it has an activation function beside the clamp, which is not supported"
        )
    return _convolution(
        name,
        fields,
        _whole(fields, "in_shape", name),
        _whole(fields, "out_shape", name),
        _depthwise(fields, name),
    )


def _pooled_layer(name: str, value: object) -> ConvLayer:
    """A convolution after global average pooling; the format leaves its shapes out."""
    return _convolution(name, _dictionary(value, name), 1, 1, depthwise=False)


def _convolution(
    name: str, fields: dict[str, object], in_size: int, out_size: int, depthwise: bool
) -> ConvLayer:
    parameters = _dictionary(_get(fields, "params", name), name)
    arrays = {}
    for field, key in _ARRAYS.items():
        found = _get(parameters, key, name)
        if not isinstance(found, PickledArray):
            raise NetworkFileError(f"{name}: {key} is a {type(found).__name__}, not an array")
        arrays[field] = found.resolve()
        if arrays[field].dtype != ARRAY_FIELDS[field]:
            raise NetworkFileError(f"{name}: {key} is {arrays[field].dtype}, expected {ARRAY_FIELDS[field]}")
    layer = ConvLayer(
        name=name,
        **arrays,
        stride=_whole(fields, "stride", name),
        depthwise=depthwise,
        in_size=in_size,
        out_size=out_size,
        input=_quantization(parameters, "x", name),
        output=_quantization(parameters, "y", name),
    )
    _check_announced(layer, fields)
    return layer


def _check_announced(layer: ConvLayer, fields: dict[str, object]) -> None:
    """The format says channels, kernel and groups a second time beside the weight; the two must agree."""
    if layer.weight.ndim != 4:
        raise NetworkFileError(f"{layer.name}: weight has shape {layer.weight.shape}, not [O, I, K, K]")
    announced = {
        "in_channel": layer.in_channels,
        "out_channel": layer.out_channels,
        "kernel_size": (layer.kernel_size, layer.weight.shape[3]),
        "groups": layer.out_channels if layer.depthwise else 1,
    }
    for key, expected in announced.items():
        if _get(fields, key, layer.name) != expected:
            raise NetworkFileError(f"{layer.name}: {key} does not agree with weight {layer.weight.shape}")


def _depthwise(fields: dict[str, object], name: str) -> bool:
    found = _get(fields, "depthwise", name)
    if not isinstance(found, bool):
        raise NetworkFileError(f"{name}: depthwise is a {type(found).__name__}, not true or false")
    return found


def _quantization(parameters: dict[str, object], prefix: str, name: str) -> LayerQuantization:
    scale = _get(parameters, f"{prefix}_scale", name)
    if not isinstance(scale, float):
        raise NetworkFileError(
            f"{name}: {prefix}_scale is a {type(scale).__name__}, not a floating-point number"
        )
    return LayerQuantization(scale, _whole(parameters, f"{prefix}_zero", name))


def _whole(fields: dict[str, object], key: str, name: str) -> int:
    found = _get(fields, key, name)
    if type(found) is not int:
        raise NetworkFileError(f"{name}: {key} is a {type(found).__name__}, not a whole number")
    return found


def _dictionary(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise NetworkFileError(f"{name} is a {type(value).__name__}, not a dictionary")
    return value


def _get(fields: dict[str, object], key: str, name: str) -> object:
    if key not in fields:
        raise NetworkFileError(f"{name} lacks the entry {key!r}")
    return fields[key]
