"""Frames survive what they should and refuse the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import LinkError
from harness.link.frames import (
    MAX_BODY,
    MAX_ENCODED,
    PROTOCOL_VERSION,
    Frame,
    FrameSplitter,
    decode_frame,
    encode_frame,
)

frames = st.builds(
    Frame, kind=st.integers(0, 255), sequence=st.integers(0, 65535), body=st.binary(max_size=MAX_BODY)
)


def intact(encoded: list[bytes]) -> list[Frame]:
    found = []
    for each in encoded:
        try:
            found.append(decode_frame(each))
        except LinkError:
            continue
    return found


def test_known_bytes() -> None:
    # The published check value of this CRC-32: "123456789" has 0xCBF43926. No zero inside: one COBS block.
    frame = Frame(version=ord("1"), kind=ord("2"), sequence=int.from_bytes(b"34", "little"), body=b"56789")
    assert encode_frame(frame) == b"\0" + b"\x0e" + b"123456789" + b"\x26\x39\xf4\xcb" + b"\0"


@given(frames)
def test_round_trip(frame: Frame) -> None:
    (encoded,) = FrameSplitter().feed(encode_frame(frame))
    assert decode_frame(encoded) == frame
    assert len(encoded) <= MAX_ENCODED


@given(st.lists(frames, max_size=4), st.data())
def test_any_chunking_gives_the_same_frames(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(frame) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    splitter = FrameSplitter()
    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[start:end])
    assert intact(found) == sent


@given(st.binary(max_size=3000), frames, st.binary(max_size=300))
def test_garbage_around_a_frame_does_not_hide_it(before: bytes, frame: Frame, after: bytes) -> None:
    found = intact(FrameSplitter().feed(before + encode_frame(frame) + after))
    assert frame in found


@given(frames, st.data())
def test_truncated_frame_is_refused(frame: Frame, data: st.DataObject) -> None:
    wire = encode_frame(frame)
    cut = data.draw(st.integers(1, len(wire) - 2))
    assert intact(FrameSplitter().feed(wire[:cut] + b"\0")) == []


@given(frames, st.data())
def test_one_flipped_bit_is_refused(frame: Frame, data: st.DataObject) -> None:
    wire = bytearray(encode_frame(frame))
    wire[data.draw(st.integers(1, len(wire) - 2))] ^= 1 << data.draw(st.integers(0, 7))
    assert intact(FrameSplitter().feed(bytes(wire))) == []


@given(frames, st.integers(1, 5))
def test_duplicated_frame_comes_out_as_often(frame: Frame, times: int) -> None:
    assert intact(FrameSplitter().feed(encode_frame(frame) * times)) == [frame] * times


def test_other_version_is_decoded_and_told() -> None:
    frame = Frame(kind=1, sequence=0, body=b"", version=PROTOCOL_VERSION + 1)
    (encoded,) = FrameSplitter().feed(encode_frame(frame))
    assert decode_frame(encoded).version == PROTOCOL_VERSION + 1


def test_body_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(LinkError, match="1025 bytes"):
        encode_frame(Frame(kind=1, sequence=0, body=bytes(MAX_BODY + 1)))


def test_endless_garbage_is_not_kept() -> None:
    splitter = FrameSplitter()
    for _ in range(100):
        assert splitter.feed(b"\x55" * 4096) == []
    (cut,) = splitter.feed(b"\0")
    assert len(cut) == MAX_ENCODED + 1
    with pytest.raises(LinkError, match="longer than"):
        decode_frame(cut)
