import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.devices.gdbrsp.packets import (
    MAX_PAYLOAD,
    ExitReply,
    PacketDecoder,
    PacketError,
    StopReply,
    decode_body,
    encode,
    parse_stop,
)


@given(st.lists(st.binary(max_size=200), max_size=8), st.integers(1, 40))
def test_payloads_survive_any_chopping_of_the_stream(payloads: list[bytes], size: int) -> None:
    stream = b"+".join(encode(payload) for payload in payloads)
    decoder = PacketDecoder()
    found = [p for at in range(0, len(stream), size) for p in decoder.feed(stream[at : at + size])]
    assert found == payloads


@given(st.binary(max_size=300))
def test_a_hostile_stream_only_ever_raises_packet_error(data: bytes) -> None:
    with contextlib.suppress(PacketError):
        PacketDecoder().feed(data)


@given(st.binary(min_size=1, max_size=100), st.data())
def test_one_flipped_bit_is_noticed(payload: bytes, data: st.DataObject) -> None:
    packet = bytearray(encode(payload))
    position = data.draw(st.integers(1, len(packet) - 4))
    packet[position] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(PacketError):
        assert PacketDecoder().feed(bytes(packet)) != [payload]


def test_run_lengths_unfold() -> None:
    assert decode_body(b"0* ") == b"0000"  # the manual's example: ' ' is 29 + 3
    assert decode_body(b"a}\x03b") == b"a#b"


@pytest.mark.parametrize("body", [b"a}", b"a*", b"*!"])
def test_dangling_escapes_are_refused(body: bytes) -> None:
    with pytest.raises(PacketError):
        decode_body(body)


def test_run_lengths_cannot_fill_memory() -> None:
    with pytest.raises(PacketError, match="more than"):
        decode_body(b"x" + b"*~" * (MAX_PAYLOAD // 90))


def test_an_endless_packet_is_refused() -> None:
    decoder = PacketDecoder()
    with pytest.raises(PacketError, match="longer than"):
        for _ in range(20):
            decoder.feed(b"$" + b"x" * (MAX_PAYLOAD // 10))


def test_a_refusal_is_an_error() -> None:
    with pytest.raises(PacketError, match="refused"):
        PacketDecoder().feed(b"-")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"T02thread:01;", StopReply(2)),
        (b"S05", StopReply(5)),
        (b"T05thread:01;watch:20000010;", StopReply(5, 0x20000010)),
        (b"T05awatch:1f;", StopReply(5, 0x1F)),
        (b"W07", ExitReply(7, by_signal=False)),
        (b"X0f;process:1", ExitReply(15, by_signal=True)),
        (b"OK", None),
        (b"E14", None),
        (b"Wzz", None),
    ],
)
def test_stop_replies(payload: bytes, expected: object) -> None:
    assert parse_stop(payload) == expected
