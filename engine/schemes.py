"""Update schemes: which biases and which weight channels of a backbone are trained. The classifier always is.

A scheme is a TOML file or one of the built-in forms `full`, `last-layer`, `bias-only:K`, `last:K`:

    name = "sparse-49kb"
    description = "…"
    selection = "magnitude"      # which input channels: magnitude (default) or first
    [network]                    # what it was made for; checked when it is applied
    convolutions = 42
    convolution_weights = 463216
    [bias]
    last = 20                    # biases of the last 20 convolutions
    [weights]                    # convolution number (stem = 0) → ratio of its input channels
    24 = 0.25
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import SchemeError
from engine.frontends.backbone import Backbone, ConvLayer

SELECTIONS = ("first", "magnitude")
_COUNTED = re.compile(r"^(bias-only|last):(\d{1,4})$")


@dataclass(frozen=True)
class Scheme:
    """What is updated. `weights`: (convolution number, ratio of input channels), ascending."""

    name: str
    description: str
    bias_last: int
    weights: tuple[tuple[int, float], ...]
    selection: str = "magnitude"
    network: tuple[int, int] | None = None
    """(convolutions, convolution weights) of the backbone it was made for; None: any."""


@dataclass(frozen=True)
class LayerUpdate:
    """What one convolution trains: its bias or not, and these (input) channels of its weights, ascending."""

    bias: bool
    channels: tuple[int, ...]


def load_scheme(spec: str, backbone: Backbone, library: Path) -> Scheme:
    """The scheme that `spec` names for this backbone; SchemeError if there is none or it does not fit.

    spec: a built-in form, the path of a TOML file, or the name of a file in a folder of `library` whose
    [network] fits.
    """
    scheme = _built_in(spec, len(backbone.layers)) or _from_file(spec, backbone, library)
    check_scheme(scheme, backbone)
    return scheme


def _built_in(spec: str, convolutions: int) -> Scheme | None:
    everything = tuple((index, 1.0) for index in range(convolutions))
    if spec == "full":
        return Scheme("full", "all weights and biases", convolutions, everything)
    if spec == "last-layer":
        return Scheme("last-layer", "the classifier only", 0, ())
    match = _COUNTED.match(spec)
    if match is None:
        return None
    count = int(match[2])
    if not 1 <= count <= convolutions:
        raise SchemeError(
            f"scheme {spec}: the backbone has {convolutions} convolutions, so K is 1 to {convolutions}"
        )
    if match[1] == "bias-only":
        return Scheme(spec, f"biases of the last {count} convolutions", count, ())
    return Scheme(spec, f"weights and biases of the last {count} convolutions", count, everything[-count:])


def _from_file(spec: str, backbone: Backbone, library: Path) -> Scheme:
    path = Path(spec)
    if path.suffix == ".toml":
        return read_scheme(path)
    candidates = [read_scheme(found) for found in sorted(library.glob("*/*.toml"))]
    shape = network_shape(backbone)
    fitting = [scheme for scheme in candidates if scheme.network == shape]
    for scheme in fitting:
        if scheme.name == spec:
            return scheme
    names = ", ".join(["full", "last-layer", "bias-only:K", "last:K", *(scheme.name for scheme in fitting)])
    raise SchemeError(
        f"no scheme named {spec!r} for {backbone.name}; there are: {names}, or the path of a .toml file"
    )


def network_shape(backbone: Backbone) -> tuple[int, int]:
    """(number of convolutions, number of their weights): how a scheme says which backbone it was made for."""
    return len(backbone.layers), sum(layer.weight.size for layer in backbone.layers)


def read_scheme(path: Path) -> Scheme:
    """Read a scheme file; SchemeError names what is wrong in it."""
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SchemeError(f"scheme file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SchemeError(f"scheme file {path} is not valid TOML: {error}") from error
    _refuse_unknown(path, fields, ("name", "description", "selection", "network", "bias", "weights"))
    network, bias = _table(path, fields, "network"), _table(path, fields, "bias")
    _refuse_unknown(path, network, ("convolutions", "convolution_weights"))
    _refuse_unknown(path, bias, ("last",))
    shape = None
    if "network" in fields:
        shape = (_integer(path, network, "convolutions"), _integer(path, network, "convolution_weights"))
    return Scheme(
        name=_text(path, fields, "name", path.stem),
        description=_text(path, fields, "description", ""),
        bias_last=_integer(path, bias, "last") if "bias" in fields else 0,
        weights=_weights(path, _table(path, fields, "weights")),
        selection=_text(path, fields, "selection", "magnitude"),
        network=shape,
    )


def _refuse_unknown(path: Path, fields: dict[str, Any], known: tuple[str, ...]) -> None:
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise SchemeError(f"scheme file {path}: unknown key {unknown[0]!r}; known are {', '.join(known)}")


def _table(path: Path, fields: dict[str, Any], key: str) -> dict[str, Any]:
    value = fields.get(key, {})
    if not isinstance(value, dict):
        raise SchemeError(f"scheme file {path}: [{key}] should be a table, found {value!r}")
    return value


def _text(path: Path, fields: dict[str, Any], key: str, default: str) -> str:
    value = fields.get(key, default)
    if not isinstance(value, str):
        raise SchemeError(f"scheme file {path}: {key} should be a text, found {value!r}")
    return value


def _integer(path: Path, fields: dict[str, Any], key: str) -> int:
    value = fields.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SchemeError(f"scheme file {path}: {key} should be a whole number, found {value!r}")
    return value


def _weights(path: Path, table: dict[str, Any]) -> tuple[tuple[int, float], ...]:
    ratios: dict[int, float] = {}
    for key, ratio in table.items():
        if not (key.isascii() and key.isdecimal()):
            raise SchemeError(f"scheme file {path}: [weights] keys are convolution numbers, found {key!r}")
        if int(key) in ratios:
            raise SchemeError(f"scheme file {path}: [weights] gives convolution {int(key)} two ratios")
        if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio <= 1:
            raise SchemeError(
                f"scheme file {path}: ratio of convolution {key} should be in (0, 1], found {ratio!r}"
            )
        ratios[int(key)] = float(ratio)
    return tuple(sorted(ratios.items()))


def check_scheme(scheme: Scheme, backbone: Backbone) -> None:
    """Raise SchemeError unless the scheme can be applied to the backbone."""
    count = len(backbone.layers)
    if scheme.network is not None and scheme.network != network_shape(backbone):
        raise SchemeError(
            f"scheme {scheme.name} is for a network of {scheme.network[0]} convolutions and "
            f"{scheme.network[1]} weights, but {backbone.name} has {network_shape(backbone)[0]} and "
            f"{network_shape(backbone)[1]}"
        )
    if scheme.bias_last > count:
        raise SchemeError(
            f"scheme {scheme.name}: biases of the last {scheme.bias_last} of {count} convolutions"
        )
    if scheme.selection not in SELECTIONS:
        raise SchemeError(
            f"scheme {scheme.name}: selection {scheme.selection!r}; known are {', '.join(SELECTIONS)}"
        )
    for number, _ in scheme.weights:
        if number >= count:
            raise SchemeError(
                f"scheme {scheme.name}: convolution {number}, but {backbone.name} has 0 to {count - 1}"
            )


def layer_updates(scheme: Scheme, backbone: Backbone) -> tuple[LayerUpdate, ...]:
    """What each convolution trains, in network order."""
    ratios = dict(scheme.weights)
    layers = backbone.layers
    return tuple(
        LayerUpdate(
            bias=number >= len(layers) - scheme.bias_last,
            channels=_select(layer, ratios[number], scheme.selection) if number in ratios else (),
        )
        for number, layer in enumerate(layers)
    )


def _select(layer: ConvLayer, ratio: float, selection: str) -> tuple[int, ...]:
    """Channels to train: the first, or those with the largest L1 norm of real weights (ties: lower index)."""
    count = max(1, round(layer.in_channels * ratio))
    if selection == "first" or count == layer.in_channels:
        return tuple(range(count))
    real = (
        np.abs(layer.weight.astype(np.float64)) * layer.weight_scales.astype(np.float64)[:, None, None, None]
    )
    norms = real.sum(axis=(1, 2, 3)) if layer.depthwise else real.sum(axis=(0, 2, 3))
    return tuple(sorted(np.argsort(-norms, kind="stable")[:count].tolist()))


def extra_memory(scheme: Scheme, backbone: Backbone, value_bits: int = 8) -> int:
    """Extra training memory in bytes by the paper's analytic rule (always labelled analytic).

    Per convolution with a trained bias: one mask bit an output element and 32 bits a bias. Where weights are
    trained: 8 bits an updated weight and 8 bits an element of the input's updated channels. The classifier: 8
    bits an input element. Source: accounting of the authors' simulator, facts of section 3.2 and figure 9.

    `value_bits`: 32 in place of 8 for a float32 network, of which the authors give no accounting.
    """
    return (extra_memory_bits(scheme, backbone, value_bits) + 7) // 8


def extra_memory_bits(scheme: Scheme, backbone: Backbone, value_bits: int = 8) -> int:
    """`extra_memory` before it is rounded up to bytes: a sum over what the scheme updates."""
    bits = 0
    for layer, update in zip(backbone.layers, layer_updates(scheme, backbone), strict=True):
        if update.bias or update.channels:
            bits += layer.out_size**2 * layer.out_channels
        if update.bias:
            bits += 32 * layer.out_channels
        bits += value_bits * layer.in_size**2 * len(update.channels)
        bits += value_bits * trained_weights(layer, update)
    return bits + value_bits * backbone.layers[-1].out_channels


def trained_weights(layer: ConvLayer, update: LayerUpdate) -> int:
    """Number of int8 weights a convolution trains."""
    per_channel = layer.weight.size // layer.in_channels
    return per_channel * len(update.channels)


def describe_weights(scheme: Scheme) -> tuple[str, ...]:
    """e.g. ('conv24 r=0.25', …), for reports."""
    return tuple(f"conv{number} r={ratio:g}" for number, ratio in scheme.weights)


def scheme_names(library: Path, shapes: Iterable[tuple[int, int]] | None = None) -> list[str]:
    """Names of the library's schemes, for networks of these shapes or for all."""
    wanted = None if shapes is None else set(shapes)
    schemes = (read_scheme(path) for path in sorted(library.glob("*/*.toml")))
    return sorted(scheme.name for scheme in schemes if wanted is None or scheme.network in wanted)
