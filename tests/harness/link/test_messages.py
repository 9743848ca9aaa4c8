"""Replies are checked field by field; no bytes from a device raise anything but LinkError."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import LinkError
from harness.link.frames import MAX_BODY
from harness.link.messages import (
    ErrorCode,
    ErrorReply,
    HelloRequest,
    InfoRequest,
    PredictRequest,
    ReadRequest,
    Request,
    ResetRequest,
    SetLearningRateRequest,
    StateSpan,
    StateSpanRequest,
    TrainRequest,
    WriteRequest,
)
from harness.targets import TickUnit

FIELDS = {
    "abi": 1,
    "height": 8,
    "width": 6,
    "channels": 3,
    "input_bytes": 144,
    "classes": 10,
    "arena": 500,
    "state": 40,
    "spans": 2,
    "unit": 1,
    "worth": 40,
    "overhead": 0,
    "input": 0x20001000,
    "arena_address": 0x20001000,
    "arena_length": 500,
    "bottom": 0x20000000,
    "top": 0x20000800,
}
STRINGS = b"\x04tiny\x04full\x00"


def info_body(strings: bytes = STRINGS, **changes: int) -> bytes:
    return struct.pack("<12I5Q", *(FIELDS | changes).values()) + strings


ALL_REQUESTS: list[Request[object]] = [
    HelloRequest(5),
    InfoRequest(),
    ResetRequest(1),
    SetLearningRateRequest(0.5),
    PredictRequest(),
    TrainRequest(2),
    StateSpanRequest(0),
    ReadRequest(0x20000000, 16),
    WriteRequest(0x20000000, b"abc"),
]


def test_info() -> None:
    info = InfoRequest().parse_reply(info_body())
    assert (info.network, info.scheme, info.plan_digest) == ("tiny", "full", "")
    assert (info.input_height, info.input_width, info.input_channels) == (8, 6, 3)
    assert info.tick_unit is TickUnit.INSTRUCTIONS
    assert (info.ticks_per_count, info.state_spans, info.classes) == (40, 2, 10)
    assert (info.stack_bottom, info.stack_top) == (0x20000000, 0x20000800)
    assert (info.input_address, info.arena_address, info.arena_length) == (0x20001000, 0x20001000, 500)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"abi": 2}, "trainer.h version 2"),
        ({"input_bytes": 143}, "143 bytes; 8 x 6 x 3 pixels have 144"),
        ({"input_bytes": 0, "height": 0}, "0 bytes"),
        ({"classes": 0}, "no classes"),
        ({"unit": 4}, "tick unit 4"),
        ({"unit": 0}, "tick unit 0"),
        ({"worth": 0}, "0 a count"),
        ({"top": 0x20000000}, "stack"),
        ({"bottom": 0}, "stack"),
        ({"input": 0}, "the input buffer"),
        ({"arena_address": 0}, "the arena"),
        ({"arena_address": 2**64 - 1}, "the arena"),
    ],
)
def test_info_that_cannot_be_is_refused(changes: dict[str, int], sentence: str) -> None:
    with pytest.raises(LinkError, match=sentence):
        InfoRequest().parse_reply(info_body(**changes))


@pytest.mark.parametrize(
    "strings",
    [
        b"",
        b"\x04tin",
        b"\x04tiny\x04full",
        b"\x04tiny\x04full\x00x",
        b"\x04ti\x00y\x00\x00",
        b"\x01\xff\x00\x00",
    ],
)
def test_info_strings_are_checked(strings: bytes) -> None:
    with pytest.raises(LinkError):
        InfoRequest().parse_reply(info_body(strings))


@given(st.sampled_from(ALL_REQUESTS), st.binary(max_size=MAX_BODY))
def test_random_reply_is_parsed_or_a_link_error(request_: Request[object], body: bytes) -> None:
    try:
        request_.parse_reply(body)
    except LinkError as error:
        assert str(error)


@given(st.binary(max_size=40))
def test_random_error_reply_is_parsed_or_a_link_error(body: bytes) -> None:
    try:
        assert ErrorReply.unpack(body).sentence()
    except LinkError as error:
        assert str(error)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_has_a_sentence(code: ErrorCode) -> None:
    assert "{" not in ErrorReply(code, 7).sentence()


def test_train_reply_keeps_nan_and_infinity() -> None:
    reply = TrainRequest(0).parse_reply(struct.pack("<Qf2f", 2**40, math.nan, math.inf, -math.inf))
    assert reply.counts == 2**40
    assert math.isnan(reply.loss)
    assert reply.logits == (math.inf, -math.inf)


def test_floats_keep_their_bits() -> None:
    reply = PredictRequest().parse_reply(struct.pack("<Q2f", 0, 0.1, 1e-45))
    assert struct.pack("<2f", *reply.logits) == struct.pack("<2f", 0.1, 1e-45)


def test_a_step_carries_a_learning_rate_or_none() -> None:
    assert TrainRequest(2).pack() == struct.pack("<I", 2)
    assert TrainRequest(2, 0.1).pack() == struct.pack("<If", 2, 0.1)
    assert TrainRequest(2, 0.0).pack() == struct.pack("<If", 2, 0.0)


def test_half_a_logit_is_refused() -> None:
    with pytest.raises(LinkError, match="multiple of 4"):
        PredictRequest().parse_reply(bytes(8 + 5))


def test_hello_wants_its_own_nonce() -> None:
    HelloRequest(5).parse_reply(struct.pack("<Q", 5))
    with pytest.raises(LinkError, match="nonce"):
        HelloRequest(5).parse_reply(struct.pack("<Q", 6))


def test_state_span() -> None:
    body = struct.pack("<QI", 0x20000040, 36) + b"\x06weight"
    assert StateSpanRequest(0).parse_reply(body) == StateSpan("weight", 0x20000040, 36)


def test_read_of_another_length_is_refused() -> None:
    with pytest.raises(LinkError, match="16 bytes was answered with 15"):
        ReadRequest(0x20000000, 16).parse_reply(bytes(15))
