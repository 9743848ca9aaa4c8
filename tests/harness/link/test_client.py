"""The client against a scripted line: what is lost, damaged, doubled or late, what is not believed."""

import struct
from collections.abc import Callable

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st

from harness.deadline import Deadline
from harness.errors import DeviceGone, DeviceHang, LinkError
from harness.link.client import MAX_DAMAGED, LinkClient
from harness.link.frames import Frame, FrameSplitter, decode_frame, encode_frame
from harness.link.messages import ErrorCode, HelloRequest, InfoRequest, ResetRequest, TrainRequest

HELLO, INFO, RESET, TRAIN = (each.kind for each in (HelloRequest, InfoRequest, ResetRequest, TrainRequest))
Answer = Callable[[Frame], bytes]


def reply(request: Frame, body: bytes = b"", kind: int | None = None) -> bytes:
    return encode_frame(Frame(request.kind | 0x80 if kind is None else kind, request.sequence, body))


def error(request: Frame, code: int, detail: int = 0) -> bytes:
    sequence = 0 if code == ErrorCode.DAMAGED_FRAME else request.sequence
    return encode_frame(Frame(0xFF, sequence, struct.pack("<II", code, detail)))


def info_body(classes: int = 2) -> bytes:
    numbers = (1, 1, 1, 3, 3, classes, 16, 8, 1, 1, 40, 0, 64, 64, 16, 8, 16)
    return struct.pack("<12I5Q", *numbers) + b"\1n\1s\0"


class Line(serial.SerialBase):
    """Answers the n-th received frame with the n-th entry of the script, all later ones with the last."""

    def __init__(self, *script: Answer) -> None:
        super().__init__()
        self.script = script
        self.received: list[Frame] = []
        self._splitter = FrameSplitter()
        self._pending = b""

    def _reconfigure_port(self) -> None:
        pass

    @property
    def in_waiting(self) -> int:
        return len(self._pending)

    def write(self, data: bytes, /) -> int:
        for encoded in self._splitter.feed(bytes(data)):
            answer = self.script[min(len(self.received), len(self.script) - 1)]
            self.received.append(decode_frame(encoded))
            self._pending += answer(self.received[-1])
        return len(data)

    def read(self, size: int = 1, /) -> bytes:
        data, self._pending = self._pending[:size], self._pending[size:]
        return data


def client(line: serial.SerialBase) -> LinkClient:
    return LinkClient(line, resend_after=0.01)


def soon() -> Deadline:
    return Deadline.after(5)


def damaged(request: Frame) -> bytes:
    wire = bytearray(reply(request))
    wire[3] ^= 0x10
    return bytes(wire)


def lost(request: Frame) -> bytes:
    return b""


def test_lost_request_is_sent_again_with_its_sequence() -> None:
    line = Line(lost, lost, reply)
    link = client(line)
    link.reset(3, soon())
    assert len(line.received) == 3
    assert len({frame.sequence for frame in line.received}) == 1
    assert link.counters.resends == 2


def test_damaged_reply_is_asked_for_again() -> None:
    line = Line(damaged, reply)
    link = client(line)
    link.reset(3, soon())
    assert line.received[0] == line.received[1]
    assert (link.counters.damaged_replies, link.counters.resends) == (1, 1)


def test_complaint_about_a_damaged_request_is_followed_by_a_resend() -> None:
    line = Line(lambda request: error(request, ErrorCode.DAMAGED_FRAME), reply)
    link = client(line)
    link.reset(3, soon())
    assert (link.counters.damaged_requests, link.counters.resends) == (1, 1)


def test_new_requests_get_new_sequences() -> None:
    line = Line(reply)
    link = client(line)
    for seed in range(3):
        link.reset(seed, soon())
    first = line.received[0].sequence
    assert [frame.sequence for frame in line.received] == [(first + i) % 65536 for i in range(3)]


def test_doubled_reply_does_not_answer_the_next_request() -> None:
    line = Line(
        lambda request: reply(request, info_body()),
        lambda request: reply(request, struct.pack("<Qf2f", 7, 0.5, 1, 2)) * 3,
        lambda request: reply(request, struct.pack("<Qf2f", 9, 0.25, 3, 4)),
    )
    link = client(line)
    assert link.train(0, soon()).loss == 0.5
    assert link.train(1, soon()).loss == 0.25
    assert link.counters.stale_replies == 2


def test_ticks_are_counts_times_their_worth() -> None:
    line = Line(
        lambda request: reply(request, info_body()),
        lambda request: reply(request, struct.pack("<Qf2f", 7, 0.5, 1, 2)),
    )
    assert client(line).train(0, soon()).ticks == 280


@given(st.binary(max_size=200).filter(lambda noise: noise.count(b"\0") < 10))
def test_garbage_before_the_reply_is_survived(noise: bytes) -> None:
    line = Line(lambda request: noise + reply(request))
    client(line).reset(3, soon())


def test_nothing_but_garbage_is_given_up() -> None:
    line = Line(damaged)
    with pytest.raises(LinkError, match=f"{MAX_DAMAGED + 1} frames arrived damaged"):
        client(line).reset(3, soon())
    assert len(line.received) == MAX_DAMAGED + 1


def test_silence_is_a_hang_at_the_deadline() -> None:
    with pytest.raises(DeviceHang, match="waiting for the reply to Reset"):
        client(Line(lost)).reset(3, Deadline.after(0.05))


def test_expired_deadline_sends_nothing() -> None:
    line = Line(reply)
    with pytest.raises(DeviceHang, match="sending Reset"):
        client(line).reset(3, Deadline.after(0))
    assert line.received == []


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda request: error(request, ErrorCode.NO_SESSION), "restarted since HELLO"),
        (lambda request: error(request, ErrorCode.LABEL_RANGE, 10), "10 classes"),
        (lambda request: error(request, 99), "error code 99"),
        (lambda request: reply(request, kind=HELLO | 0x80), "0x81 instead of 0x83"),
        (lambda request: reply(request, b"x"), "1 bytes, it takes 0"),
        (lambda request: encode_frame(Frame(0x83, request.sequence, b"", version=2)), "protocol version 2"),
    ],
)
def test_what_the_protocol_forbids_is_a_link_error(answer: Answer, sentence: str) -> None:
    with pytest.raises(LinkError, match=sentence):
        client(Line(answer)).reset(3, soon())


def test_wrong_number_of_logits_is_refused() -> None:
    line = Line(
        lambda request: reply(request, info_body(classes=2)),
        lambda request: reply(request, struct.pack("<Qf3f", 7, 0.5, 1, 2, 3)),
    )
    with pytest.raises(LinkError, match="3 logits, the trainer has 2 classes"):
        client(line).train(0, soon())


@pytest.mark.parametrize("rate", [float("nan"), float("inf")])
def test_learning_rate_has_to_be_finite(rate: float) -> None:
    line = Line(reply)
    with pytest.raises(LinkError, match="finite"):
        client(line).set_learning_rate(rate, soon())
    with pytest.raises(LinkError, match="finite"):
        client(line).train(0, soon(), rate)
    assert line.received == []


class BrokenLine(Line):
    def read(self, size: int = 1, /) -> bytes:
        raise serial.SerialException("end of file")


class StuckLine(Line):
    def write(self, data: bytes, /) -> int:
        raise serial.SerialTimeoutException("write timeout")


def test_broken_line_is_a_device_that_is_gone() -> None:
    with pytest.raises(DeviceGone, match="Reset: end of file"):
        client(BrokenLine(reply)).reset(3, soon())


def test_line_that_takes_no_bytes_is_a_hang() -> None:
    with pytest.raises(DeviceHang, match="does not take the bytes of Reset"):
        client(StuckLine(reply)).reset(3, soon())
