"""engine/frontends/pickle_file.py: nothing that a pickle says is executed, or trusted."""

from __future__ import annotations

import contextlib
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import NetworkFileError
from engine.frontends.pickle_file import MAXIMUM_OPCODES, PickledArray, unpickle

Refused = Callable[[Path], str]
SavePickle = Callable[[bytes], Path]
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
ENCODE = b"c_codecs\nencode\n"


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> Any:
        return self.parts


def text(value: str) -> bytes:
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def test_no_command_is_run(tmp_path: Path, save_pickle: SavePickle, refused: Refused) -> None:
    proof = tmp_path / "proof"
    for module in (b"os", b"posix", b"nt"):
        hostile = b"\x80\x02c" + module + b"\nsystem\n" + text(f"touch {proof}") + b"\x85R."
        message = refused(save_pickle(hostile))
        assert "system" in message
        assert "not run" in message
    assert not proof.exists()


@pytest.mark.parametrize(
    "function", [eval, exec, getattr, open, __import__, np.load, np.fromfile, pickle.loads]
)
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_no_other_name_is_reachable(
    function: object, protocol: int, save_pickle: SavePickle, refused: Refused, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    message = refused(save_pickle(pickle.dumps(Call(function, str(tmp_path / "file")), protocol=protocol)))
    assert "asks for" in message or "not allowed" in message


def test_dotted_names_do_not_lead_out_of_the_list(save_pickle: SavePickle, refused: Refused) -> None:
    for name in (b"ndarray.tofile", b"dtype.__class__", b"core.multiarray._reconstruct", b"load"):
        assert "asks for" in refused(save_pickle(b"\x80\x02cnumpy\n" + name + b"\n)R."))


@pytest.mark.parametrize(
    ("name", "content"),
    {
        "INST": b"(ios\nsystem\n.",
        "OBJ": b"(cnumpy\nndarray\no.",
        "NEWOBJ": b"\x80\x02cnumpy\nndarray\n)\x81.",
        "STACK_GLOBAL": b"\x80\x04" + b"X\x02\0\0\0os" + b"X\x06\0\0\0system" + b"\x93.",
        "EXT1": b"\x80\x02\x82\x01.",
        "PERSID": b"Pid\n.",
        "LONG4": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "BYTEARRAY8": b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
        "FRAME": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
    }.items(),
)
def test_other_opcodes_are_refused(
    name: str, content: bytes, save_pickle: SavePickle, refused: Refused
) -> None:
    message = refused(save_pickle(content))
    assert f"opcode {name}" in message or "broken" in message


def test_imported_names_cannot_be_changed(save_pickle: SavePickle, refused: Refused) -> None:
    state = b"N}" + text("__defaults__") + text("x") + b"s\x86b."
    for name in (RECONSTRUCT, ENCODE, b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"):
        assert "broken" in refused(save_pickle(b"\x80\x02" + name + state))


def test_memory_is_not_taken_by_large_memo_numbers(save_pickle: SavePickle, refused: Refused) -> None:
    assert "memory slots" in refused(save_pickle(b"\x80\x02}r\xff\xff\xff\x7f."))


def test_memory_is_not_taken_by_repeated_encoding(save_pickle: SavePickle, refused: Refused) -> None:
    size = 1 << 20
    start = b"\x80\x02" + text("\xff" * size) + b"q\x00" + text("latin1") + b"q\x01" + ENCODE + b"q\x02]"
    again = b"h\x02h\x00h\x01\x86Ra"
    assert "unpacks to more than" in refused(save_pickle(start + again * 300 + b"."))


def test_the_number_of_opcodes_is_limited(save_pickle: SavePickle, refused: Refused) -> None:
    assert "opcodes" in refused(save_pickle(b"\x80\x02" + b")" * (MAXIMUM_OPCODES + 1) + b"."))


def test_deep_nesting_ends_in_an_error(save_pickle: SavePickle, refused: Refused) -> None:
    depth = MAXIMUM_OPCODES - 10
    refused(save_pickle(b"\x80\x02})" + b"\x85" * depth + b"Ns."))
    refused(save_pickle(b"\x80\x02" + b"]" * (depth // 2) + b"a" * (depth // 2 - 1) + b"."))


def test_other_encodings_and_types_are_refused(save_pickle: SavePickle, refused: Refused) -> None:
    for argument, encoding in (
        (text("a"), text("rot13")),
        (b"K\x05", text("latin1")),
        (text("€"), text("latin1")),
    ):
        assert "broken" in refused(save_pickle(b"\x80\x02" + ENCODE + argument + encoding + b"\x86R."))
    assert "broken" in refused(save_pickle(b"\x80\x02" + RECONSTRUCT + b"NK\x00\x85" + text("b") + b"\x87R."))


def test_arrays_come_back() -> None:
    for array in (np.arange(-6, 6, dtype=np.int8).reshape(3, 4), np.ones((2, 1, 3, 3), np.float32)):
        found = unpickle(pickle.dumps([array], protocol=2))
        assert isinstance(found, list)
        assert isinstance(found[0], PickledArray)
        assert np.array_equal(found[0].resolve(), array)
        assert found[0].resolve().dtype == array.dtype


@pytest.mark.parametrize(
    "array",
    [
        np.array([None, {}], dtype=object),
        np.array([1.0, 2.0], dtype=np.float64),
        np.array([1, 2], dtype=">i4"),
        np.array(["a"], dtype="U1"),
        np.zeros(2, dtype=[("a", "i1"), ("b", "i4")]),
        np.asfortranarray(np.zeros((2, 3), np.int8)),
        np.zeros((0, 2), np.int8),
        np.zeros((1, 1, 1, 1, 1), np.int8),
    ],
    ids=str,
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(NetworkFileError):
        resolve(unpickle(pickle.dumps(array, protocol=2)))


def resolve(found: object) -> np.ndarray:
    assert isinstance(found, PickledArray)
    return found.resolve()


@pytest.mark.parametrize(
    "state",
    [
        None,
        (),
        (1, (2, 3), None, False, b"abcdef"),
        (1, (2, -3), np.dtype("i1"), False, b"abcdef"),
        (1, (2, True), np.dtype("i1"), False, b"ab"),
        (1, (2**40, 2**40), np.dtype("i1"), False, b"abcdef"),
        (1, (2, 4), np.dtype("i1"), False, b"abcdef"),
        (1, [2, 3], np.dtype("i1"), False, b"abcdef"),
        (1, (2, 3), np.dtype("i1"), False, "abcdef"),
        (1, (2, 3), np.dtype("i1"), True, b"abcdef"),
        (1, (2, 3), np.dtype("i1"), 0, b"abcdef"),
    ],
    ids=repr,
)
def test_arrays_whose_parts_disagree_are_refused(state: object) -> None:
    class Forged:
        def __reduce__(self) -> Any:
            return np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), state

    if state is None:
        content = pickle.dumps(Call(np._core.multiarray._reconstruct, np.ndarray, (0,), b"b"), protocol=2)
    else:
        content = pickle.dumps(Forged(), protocol=2)
    with pytest.raises(NetworkFileError):
        resolve(unpickle(content))


def test_truncated_anywhere_is_refused(network: dict[str, Any]) -> None:
    content = pickle.dumps(network, protocol=2)
    for length in range(0, len(content), 7):
        with pytest.raises(NetworkFileError):
            unpickle(content[:length])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused_or_read(content: bytes) -> None:
    with contextlib.suppress(NetworkFileError):
        unpickle(content)


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 10**6), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read(position: int, value: int) -> None:
    content = bytearray(pickle.dumps({"a": [np.arange(5, dtype=np.int32)], "b": (1, 2.0, None)}, protocol=2))
    content[position % len(content)] = value
    with contextlib.suppress(NetworkFileError):
        unpickle(bytes(content))
