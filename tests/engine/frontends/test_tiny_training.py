"""engine/frontends/tiny_training.py: what does not fit is refused by the name of its layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.frontends import load_backbone

Refused = Callable[[Path], str]
Save = Callable[[dict[str, Any]], Path]
Damage = Callable[[dict[str, Any]], None]


def depthwise(network: dict[str, Any]) -> dict[str, Any]:
    found = network["blocks"][1]["depthwise"]
    assert isinstance(found, dict)
    return found


def parameter(key: str, value: object) -> Damage:
    def damage(network: dict[str, Any]) -> None:
        depthwise(network)["params"][key] = value

    return damage


def field(key: str, value: object) -> Damage:
    def damage(network: dict[str, Any]) -> None:
        depthwise(network)[key] = value

    return damage


DAMAGES: dict[str, Damage] = {
    "weight of another shape": parameter("weight", np.zeros((6, 1, 5, 3), np.int8)),
    "weight of two dimensions": parameter("weight", np.zeros((6, 25), np.int8)),
    "weight of another dtype": parameter("weight", np.zeros((6, 1, 5, 5), np.float32)),
    "weight of the wrong channels": parameter("weight", np.zeros((5, 1, 5, 5), np.int8)),
    "weight with an even kernel": parameter("weight", np.zeros((6, 1, 4, 4), np.int8)),
    "weight that is an object array": parameter("weight", np.full((6, 1, 5, 5), None, object)),
    "weight that is a list": parameter("weight", [1, 2, 3]),
    "bias too short": parameter("bias", np.zeros(5, np.int32)),
    "bias of another dtype": parameter("bias", np.zeros(6, np.int8)),
    "scales too many": parameter("w_scales", np.ones(7, np.float32)),
    "scales not a number": parameter("w_scales", np.array([1, 1, np.nan, 1, 1, 1], np.float32)),
    "scales infinite": parameter("w_scales", np.array([1, 1, np.inf, 1, 1, 1], np.float32)),
    "scales zero": parameter("w_scales", np.zeros(6, np.float32)),
    "scales negative": parameter("w_scales", np.full(6, -1, np.float32)),
    "input scale not a number": parameter("x_scale", float("nan")),
    "output scale infinite": parameter("y_scale", float("inf")),
    "output scale negative": parameter("y_scale", -0.03),
    "output scale whole": parameter("y_scale", 1),
    "output scale text": parameter("y_scale", "0.03"),
    "input scale of another tensor": parameter("x_scale", 0.031),
    "input zero point of another tensor": parameter("x_zero", -127),
    "output scale that the next layer does not expect": parameter("y_scale", 0.04),
    "zero point beyond int8": parameter("y_zero", 128),
    "zero point fractional": parameter("y_zero", 1.5),
    "zero point boolean": parameter("y_zero", True),
    "input size": field("in_shape", 9),
    "output size": field("out_shape", 7),
    "output size huge": field("out_shape", 2**31 - 1),
    "stride zero": field("stride", 0),
    "stride a tuple": field("stride", (1, 1)),
    "stride that does not give the output size": field("stride", 2),
    "channels announced": field("in_channel", 7),
    "kernel announced": field("kernel_size", (3, 3)),
    "groups": field("groups", 1),
    "not depthwise": field("depthwise", False),
    "depthwise a number": field("depthwise", 1),
    "activation": field("act", "relu6"),
    "no parameters": field("params", None),
    "parameters a list": field("params", []),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_layer_is_named(
    damage: Damage, network: dict[str, Any], save: Save, refused: Refused
) -> None:
    damage(network)
    message = refused(save(network))
    assert "block01" in message or "its pickle holds an array" in message


@pytest.mark.parametrize("key", ["in_shape", "stride", "groups", "params", "depthwise", "act"])
def test_a_missing_entry_is_named(key: str, network: dict[str, Any], save: Save, refused: Refused) -> None:
    del depthwise(network)[key]
    assert f"block01.depthwise lacks the entry '{key}'" in refused(save(network))


def test_a_damaged_residual_is_named(network: dict[str, Any], save: Save, refused: Refused) -> None:
    parameters = network["blocks"][1]["residual"]["params"]
    parameters["x_scale"] = 0.06
    assert "block01.residual" in refused(save(network))
    parameters["x_scale"], parameters["y_scale"] = 0.05, float("nan")
    assert "block01.residual" in refused(save(network))


def test_a_residual_over_unequal_shapes_is_refused(
    network: dict[str, Any], save: Save, refused: Refused
) -> None:
    network["blocks"][0]["residual"] = {
        "params": {"x_scale": 0.02, "x_zero": -128, "y_scale": 0.05, "y_zero": 3}
    }
    assert "block00.residual" in refused(save(network))


def test_unsupported_layers_are_refused(network: dict[str, Any], save: Save, refused: Refused) -> None:
    network["blocks"][1]["se"] = {}
    assert "block01: it has a squeeze-and-excitation" in refused(save(network))
    network["blocks"][1]["se"] = None
    network["feature_mix"] = {}
    assert "feature_mix" in refused(save(network))


def test_other_inputs_than_pixels_are_refused(network: dict[str, Any], save: Save, refused: Refused) -> None:
    network["first_conv"]["params"]["x_scale"] = 1 / 255
    assert "stem: input" in refused(save(network))


def test_blocks_must_be_there(network: dict[str, Any], save: Save, refused: Refused) -> None:
    network["blocks"] = []
    assert "no blocks" in refused(save(network))
    network["blocks"] = [dict.fromkeys(["pointwise1", "depthwise", "pointwise2", "residual", "se"])]
    assert "block00: it has no convolution" in refused(save(network))
    network["blocks"] = {"0": None}
    assert "not a list" in refused(save(network))
    network["blocks"] = [None]
    assert "block00 is a NoneType" in refused(save(network))


def test_the_top_level_must_be_a_dictionary(save: Save, refused: Refused) -> None:
    assert "not a dictionary" in refused(save([]))  # type: ignore[arg-type]
    assert "lacks the entry 'feature_mix'" in refused(save({}))


def test_a_network_without_classifier_loads(network: dict[str, Any], save: Save) -> None:
    network["classifier"] = None
    assert load_backbone(save(network)).classifier is None


def test_a_classifier_for_other_features_is_refused(
    network: dict[str, Any], save: Save, refused: Refused
) -> None:
    network["classifier"]["params"]["x_zero"] = 0
    assert "classifier: it reads its input" in refused(save(network))


def test_truncated_files_are_refused(
    network: dict[str, Any], save: Save, refused: Refused, tmp_path: Path
) -> None:
    content = save(network).read_bytes()
    cut = tmp_path / "cut.pkl"
    for length in [*range(0, len(content), 61), len(content) - 1]:
        cut.write_bytes(content[:length])
        refused(cut)


def test_changed_bytes_are_refused_by_the_checksum(
    network: dict[str, Any], save: Save, refused: Refused, tmp_path: Path
) -> None:
    content = bytearray(save(network).read_bytes())
    middle = len(content) // 3
    content[middle] ^= 0x55
    changed = tmp_path / "changed.pkl"
    changed.write_bytes(content)
    refused(changed)
