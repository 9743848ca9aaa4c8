"""engine/frontends/__init__.py: which file is what."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.frontends import Backbone, load_backbone
from engine.frontends.backbone import LayerQuantization, Residual
from engine.frontends.manifest import named_arrays
from engine.frontends.npz_file import write_npz

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
# Convolutions, blocks and features, from the architectures' own tables.
RELEASED = {"mcunet-5fps": (42, 14, 160), "mbv2-w0.35": (51, 17, 112), "proxyless-w0.3": (60, 20, 96)}


def test_reads_structure_and_parameters(backbone: Backbone, network: dict[str, Any]) -> None:
    assert backbone.name == "small"
    assert backbone.input_size == 16
    assert [layer.name for layer in backbone.layers] == [
        "stem",
        "block00.depthwise",
        "block00.pointwise2",
        "block01.pointwise1",
        "block01.depthwise",
        "block01.pointwise2",
    ]
    depthwise = backbone.layers[4]
    expected = network["blocks"][1]["depthwise"]["params"]
    assert np.array_equal(depthwise.weight, expected["weight"])
    assert np.array_equal(depthwise.bias, expected["bias"])
    assert np.array_equal(depthwise.weight_scales, expected["w_scales"])
    assert (depthwise.in_channels, depthwise.out_channels, depthwise.kernel_size) == (6, 6, 5)
    assert depthwise.depthwise
    assert not backbone.stem.depthwise
    assert (backbone.stem.in_channels, backbone.stem.in_size, backbone.stem.out_size) == (3, 16, 8)
    assert backbone.blocks[1].residual == Residual(LayerQuantization(0.05, 3), LayerQuantization(0.07, -5))
    assert backbone.features == LayerQuantization(0.07, -5)
    assert backbone.classifier is not None
    assert backbone.classifier.weight.shape == (3, 2, 1, 1)


def test_the_arrays_cannot_be_changed(backbone: Backbone) -> None:
    for _, array in named_arrays(backbone):
        with pytest.raises(ValueError, match="read-only"):
            array.reshape(-1)[0] = 1


def test_content_decides_not_the_name(backbone: Backbone, tmp_path: Path) -> None:
    write_npz(backbone, tmp_path / "ours.pkl")
    shutil.copy(tmp_path / "small.pkl", tmp_path / "theirs.npz")
    assert load_backbone(tmp_path / "ours.pkl").digest == backbone.digest
    assert load_backbone(tmp_path / "theirs.npz").digest == backbone.digest


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x02}.", b"not a network" * 100])
def test_refuses_what_is_no_archive(content: bytes, tmp_path: Path, refused: Callable[[Path], str]) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(content)
    assert "zip archive" in refused(path)


def test_refuses_a_missing_file_and_a_folder(tmp_path: Path, refused: Callable[[Path], str]) -> None:
    assert "No such file" in refused(tmp_path / "absent.pkl")
    assert "directory" in refused(tmp_path)


def test_refuses_an_archive_of_something_else(
    tmp_path: Path, refused: Callable[[Path], str], zip_entries: Callable[[dict[str, bytes]], bytes]
) -> None:
    path = tmp_path / "file.npz"
    path.write_bytes(zip_entries({"x.npy": b"", "y.npy": b""}))
    assert "neither" in refused(path)
    path.write_bytes(zip_entries({"a/data.pkl": b"", "b/data.pkl": b""}))
    assert "neither" in refused(path)


@pytest.mark.parametrize("name", RELEASED)
def test_released_networks_load(name: str, tmp_path: Path) -> None:
    path = SHARED / f"{name}.pkl"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    backbone = load_backbone(path)
    assert (len(backbone.layers), len(backbone.blocks), backbone.layers[-1].out_channels) == RELEASED[name]
    assert backbone.classifier is not None
    assert backbone.classifier.out_channels == 1000
    write_npz(backbone, tmp_path / "copy.npz")
    assert load_backbone(tmp_path / "copy.npz").digest == backbone.digest
