"""The host's end of the link: one request at a time, resent until its reply arrives or the deadline passes.

The agent answers a resent request from memory, so that nothing is executed twice.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import serial

from harness.deadline import Deadline
from harness.errors import DeviceGone, DeviceHang, LinkError
from harness.link.frames import (
    PROTOCOL_VERSION,
    SEQUENCES,
    Frame,
    FrameSplitter,
    decode_frame,
    encode_frame,
)
from harness.link.messages import (
    MAX_READ,
    MAX_WRITE,
    REPLY,
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
    TrainerInfo,
    TrainRequest,
    WriteRequest,
)

T = TypeVar("T")

RESEND_AFTER = 1.0
"""Seconds of silence before the first resend; doubled each time, not to flood a long training step."""
MAX_DAMAGED = 16
"""Damaged frames in one request before the line is given up."""


@dataclass(frozen=True)
class LinkCounters:
    """What happened on the line so far; all zero but `requests` on a good one."""

    requests: int = 0
    resends: int = 0
    damaged_replies: int = 0
    """Received frames with a wrong CRC, bad COBS or a bad length."""
    damaged_requests: int = 0
    """Frames the agent said arrived damaged."""
    stale_replies: int = 0
    """Intact replies to requests that were answered before."""


@dataclass(frozen=True)
class Prediction:
    """Ticks of one `trainer_predict` in the target's tick unit, and float32 logits."""

    ticks: int
    logits: tuple[float, ...]


@dataclass(frozen=True)
class Step:
    """Ticks of one `trainer_train_step` in the target's tick unit, float32 loss and logits as they came."""

    ticks: int
    loss: float
    logits: tuple[float, ...]


class LinkClient:
    """Drives a trainer through its agent. Call `hello` first; not thread-safe.

    Every method raises DeviceHang when the deadline passes, DeviceGone when the stream breaks, and LinkError
    when the agent refuses or answers what the protocol forbids.
    """

    def __init__(
        self,
        stream: serial.SerialBase,
        *,
        resend_after: float = RESEND_AFTER,
        on_silence: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_silence` is called before each resend; it may raise what explains the silence."""
        self._stream = stream
        self._on_silence = on_silence
        self._resend_after = resend_after
        self._splitter = FrameSplitter()
        self._waiting: list[bytes] = []
        self._sequence = secrets.randbelow(SEQUENCES)
        self._info: TrainerInfo | None = None
        self._counters = LinkCounters()

    @property
    def counters(self) -> LinkCounters:
        return self._counters

    def hello(self, deadline: Deadline) -> None:
        """Open a session with whatever firmware runs now."""
        self._info = None
        self.request(HelloRequest(secrets.randbits(64)), deadline)

    def info(self, deadline: Deadline) -> TrainerInfo:
        """What the trainer is and where its buffers are; asked once a session."""
        if self._info is None:
            self._info = self.request(InfoRequest(), deadline)
        return self._info

    def reset(self, seed: int, deadline: Deadline) -> None:
        """Restore the compiled-in weights; seed in 0..2**32-1."""
        self.request(ResetRequest(seed), deadline)

    def set_learning_rate(self, learning_rate: float, deadline: Deadline) -> None:
        """SGD step size per image, finite; rounded to float32."""
        _check_rate(learning_rate)
        self.request(SetLearningRateRequest(learning_rate), deadline)

    def predict(self, deadline: Deadline) -> Prediction:
        """Logits of the sample in the input buffer."""
        info = self.info(deadline)
        reply = self.request(PredictRequest(), deadline)
        _check_logits(reply.logits, info, "PREDICT")
        return Prediction(reply.counts * info.ticks_per_count, reply.logits)

    def train(self, label: int, deadline: Deadline, learning_rate: float | None = None) -> Step:
        """One training step on the sample in the input buffer; a `learning_rate` is set before it."""
        if learning_rate is not None:
            _check_rate(learning_rate)
        info = self.info(deadline)
        reply = self.request(TrainRequest(label, learning_rate), deadline)
        _check_logits(reply.logits, info, "TRAIN")
        return Step(reply.counts * info.ticks_per_count, reply.loss, reply.logits)

    def state_spans(self, deadline: Deadline) -> tuple[StateSpan, ...]:
        """All parts of the trainable state, in network order: what the state digest is computed over."""
        count = self.info(deadline).state_spans
        return tuple(self.request(StateSpanRequest(index), deadline) for index in range(count))

    def read(self, address: int, length: int, deadline: Deadline) -> bytes:
        """`length` bytes of SRAM, for targets without a probe while running."""
        pieces = [
            self.request(ReadRequest(address + start, min(MAX_READ, length - start)), deadline)
            for start in range(0, length, MAX_READ)
        ]
        return b"".join(pieces)

    def write(self, address: int, data: bytes, deadline: Deadline) -> None:
        """Write `data` to SRAM, for targets without a probe while running."""
        for start in range(0, len(data), MAX_WRITE):
            self.request(WriteRequest(address + start, data[start : start + MAX_WRITE]), deadline)

    def request(self, request: Request[T], deadline: Deadline) -> T:
        """Send one request and return its reply."""
        what = type(request).__name__.removesuffix("Request")
        self._sequence = (self._sequence + 1) % SEQUENCES
        wire = encode_frame(Frame(request.kind, self._sequence, request.pack()))
        self._count(requests=1)
        self._send(wire, deadline, what)
        patience = self._resend_after
        silence = deadline.within(patience)
        damaged = 0
        while True:
            encoded = self._receive(silence, what)
            if encoded is None:
                deadline.check(f"waiting for the reply to {what}")
                self._on_silence()
                patience *= 2
            else:
                frame = self._intact(encoded)
                if frame is not None and not self._answers(frame):
                    continue
                if frame is not None:
                    return self._reply(request, frame, what)
                damaged += 1
                if damaged > MAX_DAMAGED:
                    raise LinkError(
                        f"{damaged} frames arrived damaged while waiting for the reply to {what}; "
                        "check the serial line and its speed"
                    )
            self._count(resends=1)
            self._send(wire, deadline, what)
            silence = deadline.within(patience)

    def _intact(self, encoded: bytes) -> Frame | None:
        """The frame, or None when it, or the request it complains about, was damaged."""
        try:
            frame = decode_frame(encoded)
        except LinkError:
            self._count(damaged_replies=1)
            return None
        if frame.version != PROTOCOL_VERSION:
            raise LinkError(
                f"the firmware speaks link protocol version {frame.version}, this harness version "
                f"{PROTOCOL_VERSION}; build the firmware again"
            )
        if frame.kind == ErrorReply.kind and ErrorReply.unpack(frame.body).code == ErrorCode.DAMAGED_FRAME:
            self._count(damaged_requests=1)
            return None
        return frame

    def _answers(self, frame: Frame) -> bool:
        if frame.sequence == self._sequence:
            return True
        self._count(stale_replies=1)
        return False

    def _reply(self, request: Request[T], frame: Frame, what: str) -> T:
        if frame.kind == ErrorReply.kind:
            raise LinkError(f"the agent refused {what}: {ErrorReply.unpack(frame.body).sentence()}")
        if frame.kind != request.kind | REPLY:
            raise LinkError(
                f"{what} was answered with message 0x{frame.kind:02x} instead of 0x{request.kind | REPLY:02x}"
            )
        return request.parse_reply(frame.body)

    def _send(self, wire: bytes, deadline: Deadline, what: str) -> None:
        deadline.check(f"sending {what}")
        try:
            self._stream.write_timeout = deadline.remaining()
            self._stream.write(wire)
        except serial.SerialTimeoutException as error:
            raise DeviceHang(f"the target does not take the bytes of {what}: {error}") from error
        except OSError as error:
            raise DeviceGone(f"the link broke while sending {what}: {error}") from error

    def _receive(self, until: Deadline, what: str) -> bytes | None:
        """The next encoded frame, or None when `until` passed before it was complete."""
        while not self._waiting:
            if until.expired:
                return None
            try:
                self._stream.timeout = until.remaining()
                # Every implementation of SerialBase has in_waiting, only the stub of the base lacks it.
                available: int = self._stream.in_waiting  # type: ignore[attr-defined]
                data = self._stream.read(max(1, available))
            except OSError as error:
                raise DeviceGone(f"the link broke while waiting for the reply to {what}: {error}") from error
            self._waiting += self._splitter.feed(data)
        return self._waiting.pop(0)

    def _count(self, **increments: int) -> None:
        current = self._counters
        self._counters = replace(
            current, **{name: getattr(current, name) + more for name, more in increments.items()}
        )


def _check_rate(learning_rate: float) -> None:
    if not math.isfinite(learning_rate):
        raise LinkError(f"the learning rate is {learning_rate}, it has to be a finite number")


def _check_logits(logits: tuple[float, ...], info: TrainerInfo, what: str) -> None:
    if len(logits) != info.classes:
        raise LinkError(f"{what} returned {len(logits)} logits, the trainer has {info.classes} classes")
