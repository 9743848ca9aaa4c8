"""The agent's C code against the real client, with address and undefined-behaviour sanitizers."""

import math
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.deadline import Deadline
from harness.errors import DeviceGone, LinkError
from harness.link.frames import MAX_BODY, MAX_ENCODED, Frame, FrameSplitter, decode_frame, encode_frame
from harness.link.messages import (
    MAX_READ,
    MAX_WRITE,
    ErrorCode,
    ErrorReply,
    HelloRequest,
    InfoRequest,
    PredictRequest,
    ReadRequest,
    ResetRequest,
    StateSpanRequest,
    TrainRequest,
)

SAMPLE = bytes(range(192))


def soon() -> Deadline:
    return Deadline.after(10)


def exchange(agent: Any, wire: bytes, replies: int) -> list[Frame]:
    """Send raw bytes and collect the next `replies` frames."""
    agent.line.write(wire)
    splitter = FrameSplitter()
    found: list[Frame] = []
    deadline = soon()
    while len(found) < replies:
        deadline.check("collecting replies")
        agent.line.timeout = deadline.remaining()
        found += [decode_frame(encoded) for encoded in splitter.feed(agent.line.read(1))]
    return found


def error_code(frame: Frame) -> ErrorCode:
    assert frame.kind == 0xFF
    return ErrorReply.unpack(frame.body).code


def prepare(agent: Any) -> None:
    client = agent.client
    client.reset(7, soon())
    client.set_learning_rate(0.5, soon())
    client.write(client.info(soon()).input_address, SAMPLE, soon())


def state(agent: Any) -> bytes:
    client = agent.client
    return b"".join(client.read(span.address, span.length, soon()) for span in client.state_spans(soon()))


def test_info_describes_the_trainer(agent: Any) -> None:
    info = agent.client.info(soon())
    assert (info.network, info.scheme, info.input_bytes, info.classes) == ("tiny", "full", 192, 3)
    assert (info.arena_bytes, info.arena_length) == (220, 220)
    assert (info.state_bytes, info.state_spans) == (48, 2)
    assert info.input_address == info.arena_address
    assert info.stack_top - info.stack_bottom == 1 << 20
    spans = agent.client.state_spans(soon())
    assert [(span.name, span.length) for span in spans] == [
        ("classifier.weight", 36),
        ("classifier.bias", 12),
    ]


def test_training_reduces_the_loss(agent: Any) -> None:
    prepare(agent)
    address = agent.client.info(soon()).input_address
    losses = []
    for _ in range(20):
        agent.client.write(address, SAMPLE, soon())
        losses.append(agent.client.train(1, soon()).loss)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 2


def test_reset_restores_the_state_of_its_seed(agent: Any) -> None:
    prepare(agent)
    before = state(agent)
    agent.client.train(1, soon())
    assert state(agent) != before
    agent.client.reset(8, soon())
    assert state(agent) != before
    agent.client.reset(7, soon())
    assert state(agent) == before


def test_train_replies_with_the_logits_before_the_update(agent: Any) -> None:
    prepare(agent)
    predicted = agent.client.predict(soon()).logits
    agent.client.write(agent.client.info(soon()).input_address, SAMPLE, soon())
    assert agent.client.train(1, soon()).logits == predicted


def test_resent_request_is_answered_but_not_executed_again(agent: Any) -> None:
    prepare(agent)
    wire = encode_frame(Frame(TrainRequest.kind, 500, TrainRequest(1).pack()))
    first, second, third = exchange(agent, wire * 3, 3)
    assert first == second == third
    after_once = state(agent)
    prepare(agent)
    exchange(agent, encode_frame(Frame(TrainRequest.kind, 501, TrainRequest(1).pack())), 1)
    assert state(agent) == after_once


def test_learning_rate_of_a_step_is_that_of_its_own_request(agent: Any) -> None:
    prepare(agent)
    agent.client.set_learning_rate(0.125, soon())
    agent.client.train(1, soon())
    expected = state(agent)
    prepare(agent)
    agent.client.train(1, soon(), 0.125)
    assert state(agent) == expected


def test_learning_rate_of_a_refused_step_is_not_taken(agent: Any) -> None:
    prepare(agent)
    agent.client.train(1, soon(), 0.125)
    agent.client.train(1, soon())
    expected = state(agent)
    prepare(agent)
    agent.client.train(1, soon(), 0.125)
    with pytest.raises(LinkError, match="3 classes"):
        agent.client.train(3, soon(), 64.0)
    agent.client.train(1, soon())
    assert state(agent) == expected


def test_same_request_with_a_new_sequence_is_executed(agent: Any) -> None:
    prepare(agent)
    frames = [
        encode_frame(Frame(TrainRequest.kind, sequence, TrainRequest(1).pack())) for sequence in (500, 501)
    ]
    first, second = exchange(agent, b"".join(frames), 2)
    assert first.body != second.body


def test_complaint_does_not_lose_the_cached_reply(agent: Any) -> None:
    prepare(agent)
    wire = encode_frame(Frame(TrainRequest.kind, 500, TrainRequest(1).pack()))
    damaged = bytearray(wire)
    damaged[2] ^= 2  # the version; not to 0, which would cut the frame
    first, complaint, again = exchange(agent, wire + bytes(damaged) + wire, 3)
    assert error_code(complaint) == ErrorCode.DAMAGED_FRAME
    assert again == first


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=3 * MAX_ENCODED), cut=st.integers(0, 12))
def test_garbage_before_and_within_a_frame(agent: Any, noise: bytes, cut: int) -> None:
    hello = encode_frame(Frame(HelloRequest.kind, 9, bytes(range(8))))
    agent.line.write(noise + hello[:cut] + noise)
    agent.client.hello(soon())
    assert agent.client.info(soon()).classes == 3


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.integers(1, 255).filter(lambda kind: kind not in (3, 4, 6)), body=st.binary(max_size=MAX_BODY))
def test_intact_frame_with_any_content_gets_one_answer(agent: Any, kind: int, body: bytes) -> None:
    (answer,) = exchange(
        agent, encode_frame(Frame(kind, 77, body)) + encode_frame(Frame(1, 78, bytes(8))), 2
    )[:1]
    assert answer.sequence == 77
    assert answer.kind in (kind | 0x80, 0xFF)


def test_frames_at_the_size_limit(agent: Any) -> None:
    address = agent.client.info(soon()).stack_bottom
    data = bytes(i * 7 % 251 for i in range(MAX_READ * 2 + 5))
    agent.client.write(address, data, soon())
    assert agent.client.read(address, len(data), soon()) == data
    assert agent.client.read(address, 0, soon()) == b""
    assert MAX_WRITE == MAX_BODY - 8
    assert agent.client.counters.resends == 0


def test_frame_that_is_too_long_is_refused_whole(agent: Any) -> None:
    hello = encode_frame(Frame(HelloRequest.kind, 9, bytes(8)))
    complaint, answer = exchange(agent, b"\x01" * (MAX_ENCODED + 1) + hello, 2)
    assert error_code(complaint) == ErrorCode.DAMAGED_FRAME
    assert (answer.kind, answer.sequence) == (HelloRequest.kind | 0x80, 9)


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        (0, b"", ErrorCode.UNKNOWN_COMMAND),
        (10, b"", ErrorCode.UNKNOWN_COMMAND),
        (200, b"", ErrorCode.UNKNOWN_COMMAND),
        (InfoRequest.kind, b"x", ErrorCode.MALFORMED),
        (ResetRequest.kind, b"abc", ErrorCode.MALFORMED),
        (HelloRequest.kind, b"", ErrorCode.MALFORMED),
        (TrainRequest.kind, TrainRequest(3).pack(), ErrorCode.LABEL_RANGE),
        (TrainRequest.kind, TrainRequest(3, 0.5).pack(), ErrorCode.LABEL_RANGE),
        *((TrainRequest.kind, bytes(length), ErrorCode.MALFORMED) for length in (0, 3, 5, 6, 7, 9, 12)),
        (StateSpanRequest.kind, StateSpanRequest(2).pack(), ErrorCode.SPAN_RANGE),
        (ReadRequest.kind, ReadRequest(0, 4).pack(), ErrorCode.ADDRESS),
        (ReadRequest.kind, ReadRequest(2**64 - 2, 4).pack(), ErrorCode.ADDRESS),
        (ReadRequest.kind, ReadRequest(0, MAX_BODY + 1).pack(), ErrorCode.TOO_LARGE),
        (9, struct.pack("<Q", 16) + b"data", ErrorCode.ADDRESS),
    ],
)
def test_refusals(agent: Any, kind: int, body: bytes, code: ErrorCode) -> None:
    (answer,) = exchange(agent, encode_frame(Frame(kind, 77, body)), 1)
    assert error_code(answer) == code
    assert answer.sequence == 77


def test_refused_label_trains_nothing(agent: Any) -> None:
    prepare(agent)
    before = state(agent)
    with pytest.raises(LinkError, match="3 classes"):
        agent.client.train(3, soon())
    assert state(agent) == before


def test_nothing_but_hello_before_hello(start_agent: Any) -> None:
    running = start_agent()
    (answer,) = exchange(running, encode_frame(Frame(PredictRequest.kind, 5, b"")), 1)
    assert error_code(answer) == ErrorCode.NO_SESSION


def test_other_protocol_version_is_refused(agent: Any) -> None:
    (answer,) = exchange(agent, encode_frame(Frame(1, 5, bytes(8), version=2)), 1)
    assert error_code(answer) == ErrorCode.PROTOCOL_VERSION


def test_trainer_of_another_abi_is_refused(start_agent: Any) -> None:
    running = start_agent(TINY_ABI=2)
    running.client.hello(soon())
    with pytest.raises(LinkError, match=r"trainer\.h version 2"):
        running.client.info(soon())


def test_more_classes_than_a_frame_carries_are_refused_before_training(start_agent: Any) -> None:
    running = start_agent(TINY_CLASSES=300)
    running.client.hello(soon())
    prepare(running)
    before = state(running)
    with pytest.raises(LinkError, match="1212 bytes"):
        running.client.train(0, soon())
    assert state(running) == before


def test_losses_that_are_no_numbers_are_passed_on(start_agent: Any) -> None:
    loss = '(label == 0 ? __builtin_nanf("") : label == 1 ? __builtin_inff() : -__builtin_inff())'
    running = start_agent(TINY_LOSS=loss)
    running.client.hello(soon())
    prepare(running)
    assert math.isnan(running.client.train(0, soon()).loss)
    assert running.client.train(1, soon()).loss == math.inf
    assert running.client.train(2, soon()).loss == -math.inf


def test_a_restart_of_the_firmware_is_noticed(start_agent: Any) -> None:
    first, second = start_agent(), start_agent()
    first.client.hello(soon())
    first.client._stream = second.line
    with pytest.raises(LinkError, match="restarted since HELLO"):
        first.client.predict(soon())


def test_the_sanitizers_would_find_something(start_agent: Any) -> None:
    running = start_agent(TINY_CRASH=5)
    running.expected_code = 1
    running.client.hello(soon())
    prepare(running)
    with pytest.raises(DeviceGone):
        running.client.train(0, soon())
    assert "out of bounds" in running.process.communicate(timeout=10)[1]
