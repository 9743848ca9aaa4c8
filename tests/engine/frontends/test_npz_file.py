"""engine/frontends/npz_file.py, manifest.py, npy.py and archive.py: the project's own format."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import NetworkFileError
from engine.frontends import Backbone, load_backbone
from engine.frontends.archive import Archive
from engine.frontends.backbone import LayerQuantization
from engine.frontends.manifest import backbone_digest, named_arrays
from engine.frontends.npy import parse_npy
from engine.frontends.npz_file import write_npz

Refused = Callable[[Path], str]
ZipEntries = Callable[[dict[str, bytes]], bytes]


@pytest.fixture
def path(backbone: Backbone, tmp_path: Path) -> Path:
    result = tmp_path / "ours.npz"
    write_npz(backbone, result)
    return result


@pytest.fixture
def rewrite(path: Path, zip_entries: ZipEntries) -> Callable[[dict[str, bytes]], Path]:
    """Replace or add entries of the file."""

    def change(changed: dict[str, bytes]) -> Path:
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        path.write_bytes(zip_entries(entries | changed))
        return path

    return change


def npy(array: np.ndarray, *, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def manifest_entry(text: bytes) -> dict[str, bytes]:
    return {"manifest.npy": npy(np.frombuffer(text, dtype=np.uint8))}


def manifest_of(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as archive:
        found = json.loads(archive["manifest"].tobytes())
    assert isinstance(found, dict)
    return found


def test_what_was_written_is_read(backbone: Backbone, path: Path) -> None:
    found = load_backbone(path)
    assert (found.name, found.digest) == (backbone.name, backbone.digest)
    for (name, array), (other_name, other) in zip(named_arrays(found), named_arrays(backbone), strict=True):
        assert name == other_name
        assert array.dtype == other.dtype
        assert np.array_equal(array, other)
    assert [layer.output for layer in found.layers] == [layer.output for layer in backbone.layers]


def test_the_same_backbone_gives_the_same_bytes(backbone: Backbone, path: Path, tmp_path: Path) -> None:
    write_npz(load_backbone(path), tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert not list(tmp_path.glob("*.unfinished"))


def test_the_digest_sees_every_part_but_the_name(backbone: Backbone) -> None:
    stem = backbone.stem
    weight, bias, scales = stem.weight.copy(), stem.bias.copy(), stem.weight_scales.copy()
    weight[-1, -1, -1, -1] ^= 1
    bias[0] += 1
    scales[0] = np.nextafter(scales[0], np.float32(1))
    changed = [
        replace(backbone, stem=replace(stem, weight=weight)),
        replace(backbone, stem=replace(stem, bias=bias)),
        replace(backbone, stem=replace(stem, weight_scales=scales)),
        replace(backbone, stem=replace(stem, output=LayerQuantization(np.nextafter(0.02, 1).item(), -128))),
        replace(backbone, classifier=None),
        replace(backbone, blocks=backbone.blocks[:1]),
    ]
    digests = {backbone_digest(other) for other in changed}
    assert len(digests) == len(changed)
    assert backbone.digest not in digests
    assert backbone_digest(replace(backbone, name="other")) == backbone.digest


def test_an_object_array_is_refused_unopened(
    rewrite: Callable[[dict[str, bytes]], Path], refused: Refused
) -> None:
    objects = np.array([print], dtype=object)
    message = refused(rewrite({"stem.weight.npy": npy(objects, allow_pickle=True)}))
    assert "neither numbers nor text" in message


@pytest.mark.parametrize(
    ("entry", "array"),
    [
        ("stem.weight.npy", np.zeros((4, 3, 3, 3), np.int16)),
        ("stem.weight.npy", np.zeros((4, 3, 3), np.int8)),
        ("stem.weight.npy", np.asfortranarray(np.zeros((4, 3, 3, 3), np.int8))),
        ("block01.depthwise.bias.npy", np.zeros(6, ">i4")),
        ("block01.depthwise.weight_scales.npy", np.full(6, np.nan, np.float32)),
        ("manifest.npy", np.zeros(10, np.int8)),
    ],
)
def test_other_arrays_are_refused(
    entry: str, array: np.ndarray, rewrite: Callable[[dict[str, bytes]], Path], refused: Refused
) -> None:
    message = refused(rewrite({entry: npy(array)}))
    assert entry.rsplit(".", 2)[0] in message


def test_surplus_and_missing_entries_are_refused(
    rewrite: Callable[[dict[str, bytes]], Path], refused: Refused, path: Path, zip_entries: ZipEntries
) -> None:
    assert "'block07.npy'" in refused(rewrite({"block07.npy": b""}))
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist() if "stem.bias" not in name}
    path.write_bytes(zip_entries(entries))
    assert "no entry 'stem.bias.npy'" in refused(path)


@pytest.mark.parametrize(
    "text",
    [
        b" ",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"format":"other"}',
    ],
    ids=lambda text: text[:20].decode("latin1"),
)
def test_other_texts_are_refused(
    text: bytes, rewrite: Callable[[dict[str, bytes]], Path], refused: Refused
) -> None:
    assert "the manifest is not" in refused(rewrite(manifest_entry(text)))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("version",), 2),
        (("name",), ""),
        (("stem", "stride"), "2"),
        (("stem", "stride"), 2.0),
        (("stem", "input", "scale"), "NaN"),
        (("stem", "input", "zero_point"), 10**30),
        (("blocks", 1, "residual", "skip"), None),
        (("blocks", 1, "depthwise", "surplus"), 1),
        (("blocks",), {}),
    ],
)
def test_a_damaged_manifest_names_the_entry(
    keys: tuple[str | int, ...],
    value: object,
    path: Path,
    rewrite: Callable[[dict[str, bytes]], Path],
    refused: Refused,
) -> None:
    manifest = manifest_of(path)
    place: Any = manifest
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    message = refused(rewrite(manifest_entry(json.dumps(manifest).encode())))
    assert ".".join(str(key) for key in keys) in message or "stem: input" in message


@pytest.mark.parametrize("scale", ["NaN", "Infinity", "-1.0", "0.0", "1e-300", "1e999"])
def test_scales_must_be_positive_and_finite(
    scale: str, path: Path, rewrite: Callable[[dict[str, bytes]], Path], refused: Refused
) -> None:
    text = json.dumps(manifest_of(path)).replace(
        '"output": {"scale": 0.02,', f'"output": {{"scale": {scale},', 1
    )
    assert scale in text
    refused(rewrite(manifest_entry(text.encode())))


def test_truncated_files_are_refused(path: Path, refused: Refused) -> None:
    content = path.read_bytes()
    for length in [*range(0, len(content), 61), len(content) - 1]:
        path.write_bytes(content[:length])
        refused(path)


def test_entries_beyond_the_limit_are_not_unpacked(tmp_path: Path, zip_entries: ZipEntries) -> None:
    bomb = tmp_path / "bomb.npz"
    bomb.write_bytes(zip_entries({"a": bytes(1_000_000), "b": bytes(1_000_000)}))
    with Archive(bomb, 1_500_000) as archive:
        assert len(archive.read("a")) == 1_000_000
        with pytest.raises(NetworkFileError, match="unpacks to more than"):
            archive.read("b")
    with pytest.raises(NetworkFileError, match="larger than 100 bytes"):
        Archive(bomb, 100)


def test_repeated_entries_are_refused(tmp_path: Path, refused: Refused) -> None:
    twice = tmp_path / "twice.npz"
    with zipfile.ZipFile(twice, "w") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("manifest.npy", b"1")
        archive.writestr("manifest.npy", b"2")
    assert "same name" in refused(twice)


def test_encrypted_entries_are_refused(path: Path, refused: Refused) -> None:
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = content.find(signature)
        while position >= 0:
            content[position + offset] |= 1
            position = content.find(signature, position + 4)
    path.write_bytes(content)
    assert "encrypted" in refused(path)


def header(text: str) -> bytes:
    content = text.encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(content)) + content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x02\x00" + bytes(100),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }\n"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }\n"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -2, -1), }\n") + bytes(16),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n") + bytes(8),
        header("{'descr': '|V0', 'fortran_order': False, 'shape': (0,), }\n"),
        header("{'descr': '<U0', 'fortran_order': False, 'shape': (10,), }\n"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (True,), }\n") + bytes(4),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }\n"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 70 + "), }\n") + bytes(4),
        header("__import__('os').getcwd()\n"),
        header("(" * 9000),
    ],
)
def test_broken_npy_entries_are_refused(content: bytes) -> None:
    with pytest.raises(NetworkFileError, match=r"'x\.npy'"):
        parse_npy(content, "x.npy")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_npy_noise_is_refused(content: bytes) -> None:
    with pytest.raises(NetworkFileError):
        parse_npy(content, "x.npy")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_changed_byte_never_changes_a_network_unseen(
    position: int, value: int, path: Path, backbone: Backbone, tmp_path: Path
) -> None:
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    changed = tmp_path / "changed.npz"
    changed.write_bytes(content)
    try:
        found = load_backbone(changed)
    except NetworkFileError as error:
        assert "\n" not in str(error)
    else:
        assert found.digest == backbone.digest
