"""Requests and replies of the link, one dataclass each. Numbers are little endian, addresses 64 bit.

A reply's kind is its request's with bit 7 set; ErrorReply answers any request. Everything received is
checked, and a body that breaks a rule raises LinkError. `harness/agent/agent.c` is the other end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Protocol, TypeVar

from harness.errors import LinkError
from harness.link.fields import floats, span_start, strings, unpack, unpack_head
from harness.link.frames import MAX_BODY
from harness.targets import TickUnit

REPLY = 0x80
TRAINER_ABI_VERSION = 1
MAX_READ = MAX_BODY
MAX_WRITE = MAX_BODY - 8
"""Bytes of memory in one ReadRequest reply or WriteRequest."""

T_co = TypeVar("T_co", covariant=True)


class Request(Protocol[T_co]):
    """What `LinkClient.request` sends; `T_co` is its reply."""

    kind: ClassVar[int]

    def pack(self) -> bytes: ...

    def parse_reply(self, body: bytes) -> T_co:
        """The reply in `body`; raise LinkError when it does not answer this request."""


class ErrorCode(IntEnum):
    """Why the agent refused; the same numbers are in agent.c."""

    DAMAGED_FRAME = 1
    PROTOCOL_VERSION = 2
    UNKNOWN_COMMAND = 3
    NO_SESSION = 4
    MALFORMED = 5
    LABEL_RANGE = 6
    SPAN_RANGE = 7
    TRAINER_ABI = 8
    TOO_LARGE = 9
    ADDRESS = 10
    TRAINER_BROKEN = 11


_SENTENCES = {
    ErrorCode.DAMAGED_FRAME: "the request arrived damaged",
    ErrorCode.PROTOCOL_VERSION: "the firmware speaks link protocol version {detail}",
    ErrorCode.UNKNOWN_COMMAND: "the firmware does not know command {detail}",
    ErrorCode.NO_SESSION: "the firmware has no session: it restarted since HELLO, and its state is lost",
    ErrorCode.MALFORMED: "the request's body has {detail} bytes, which is not what the command takes",
    ErrorCode.LABEL_RANGE: "the label is out of range: the trainer has {detail} classes",
    ErrorCode.SPAN_RANGE: "the index is out of range: the trainer has {detail} state spans",
    ErrorCode.TRAINER_ABI: "the trainer implements trainer.h version {detail}",
    ErrorCode.TOO_LARGE: "the reply would have {detail} bytes, more than a frame carries",
    ErrorCode.ADDRESS: "{detail} bytes at that address are not all in the firmware's SRAM",
    ErrorCode.TRAINER_BROKEN: "the trainer returned a null pointer (trainer function {detail} of trainer.h)",
}


@dataclass(frozen=True)
class ErrorReply:
    """The agent's refusal; `detail` is the number its sentence needs."""

    kind: ClassVar[int] = 0xFF
    code: ErrorCode
    detail: int

    @classmethod
    def unpack(cls, body: bytes) -> ErrorReply:
        number, detail = unpack("<II", body, "an error reply")
        try:
            return cls(ErrorCode(number), detail)
        except ValueError:
            raise LinkError(f"the agent sent error code {number}, which this harness does not know") from None

    def sentence(self) -> str:
        return _SENTENCES[self.code].format(detail=self.detail)


@dataclass(frozen=True)
class HelloRequest:
    """Opens a session; the agent forgets what it did before. `nonce` in 0..2**64-1 ties the answer to us."""

    kind: ClassVar[int] = 1
    nonce: int

    def pack(self) -> bytes:
        return struct.pack("<Q", self.nonce)

    def parse_reply(self, body: bytes) -> None:
        (nonce,) = unpack("<Q", body, "the reply to HELLO")
        if nonce != self.nonce:
            raise LinkError(f"HELLO was answered with nonce 0x{nonce:016x} instead of 0x{self.nonce:016x}")


@dataclass(frozen=True)
class TrainerInfo:
    """`trainer_info_t` and where things are. Addresses and lengths in bytes."""

    network: str
    scheme: str
    plan_digest: str
    input_height: int
    input_width: int
    input_channels: int
    input_bytes: int
    classes: int
    arena_bytes: int
    state_bytes: int
    state_spans: int
    tick_unit: TickUnit
    ticks_per_count: int
    """What one count of the board's counter is worth in `tick_unit`."""
    overhead_counts: int
    """Counts of an empty measurement: what the measuring itself adds to every figure."""
    input_address: int
    arena_address: int
    arena_length: int
    stack_bottom: int
    stack_top: int


_TICK_UNITS = {1: TickUnit.INSTRUCTIONS, 2: TickUnit.CYCLES, 3: TickUnit.NANOSECONDS}
_INFO = struct.Struct("<12I5Q")


@dataclass(frozen=True)
class InfoRequest:
    kind: ClassVar[int] = 2

    def pack(self) -> bytes:
        return b""

    def parse_reply(self, body: bytes) -> TrainerInfo:
        if len(body) < _INFO.size:
            raise LinkError(f"the reply to INFO has {len(body)} bytes, it takes at least {_INFO.size}")
        numbers = _INFO.unpack_from(body)
        abi, height, width, channels, input_bytes, classes, arena, state, spans, unit, worth, cost = numbers[
            :12
        ]
        if abi != TRAINER_ABI_VERSION:
            raise LinkError(
                f"the trainer implements trainer.h version {abi}, this harness {TRAINER_ABI_VERSION}"
            )
        if input_bytes == 0 or input_bytes != height * width * channels:
            raise LinkError(
                f"the trainer says its input has {input_bytes} bytes; {height} x {width} x {channels} pixels "
                f"have {height * width * channels}"
            )
        if classes == 0:
            raise LinkError("the trainer says it has no classes")
        if unit not in _TICK_UNITS or worth == 0:
            raise LinkError(
                f"the firmware counts in tick unit {unit}, {worth} a count; units 1 to 3 are known"
            )
        input_address, arena_address, arena_length, bottom, top = numbers[12:]
        if not 0 < bottom < top:
            raise LinkError(f"the firmware says its stack is from 0x{bottom:08x} to 0x{top:08x}")
        network, scheme, digest = strings(body[_INFO.size :], 3, "the reply to INFO")
        return TrainerInfo(
            network=network,
            scheme=scheme,
            plan_digest=digest,
            input_height=height,
            input_width=width,
            input_channels=channels,
            input_bytes=input_bytes,
            classes=classes,
            arena_bytes=arena,
            state_bytes=state,
            state_spans=spans,
            tick_unit=_TICK_UNITS[unit],
            ticks_per_count=worth,
            overhead_counts=cost,
            input_address=span_start(input_address, input_bytes, "the input buffer"),
            arena_address=span_start(arena_address, arena_length, "the arena"),
            arena_length=arena_length,
            stack_bottom=bottom,
            stack_top=top,
        )


@dataclass(frozen=True)
class ResetRequest:
    """Calls `trainer_reset(seed)`; seed in 0..2**32-1."""

    kind: ClassVar[int] = 3
    seed: int

    def pack(self) -> bytes:
        return struct.pack("<I", self.seed)

    def parse_reply(self, body: bytes) -> None:
        unpack("", body, "the reply to RESET")


@dataclass(frozen=True)
class SetLearningRateRequest:
    """Calls `trainer_set_learning_rate`; the value is rounded to float32."""

    kind: ClassVar[int] = 4
    learning_rate: float

    def pack(self) -> bytes:
        return struct.pack("<f", self.learning_rate)

    def parse_reply(self, body: bytes) -> None:
        unpack("", body, "the reply to SET_LEARNING_RATE")


@dataclass(frozen=True)
class PredictReply:
    """Raw counts of the board's counter, and float32 logits."""

    counts: int
    logits: tuple[float, ...]


@dataclass(frozen=True)
class PredictRequest:
    kind: ClassVar[int] = 5

    def pack(self) -> bytes:
        return b""

    def parse_reply(self, body: bytes) -> PredictReply:
        (counts,) = unpack_head("<Q", body, "the reply to PREDICT")
        return PredictReply(counts, floats(body[8:], "the reply to PREDICT"))


@dataclass(frozen=True)
class TrainReply:
    """Raw counts of the board's counter, float32 loss and logits as they came, NaN and infinity too."""

    counts: int
    loss: float
    logits: tuple[float, ...]


@dataclass(frozen=True)
class TrainRequest:
    """One `trainer_train_step(label)`; label in 0..2**32-1. A `learning_rate` is set before it."""

    kind: ClassVar[int] = 6
    label: int
    learning_rate: float | None = None

    def pack(self) -> bytes:
        rate = b"" if self.learning_rate is None else struct.pack("<f", self.learning_rate)
        return struct.pack("<I", self.label) + rate

    def parse_reply(self, body: bytes) -> TrainReply:
        counts, loss = unpack_head("<Qf", body, "the reply to TRAIN")
        return TrainReply(counts, loss, floats(body[12:], "the reply to TRAIN"))


@dataclass(frozen=True)
class StateSpan:
    """A contiguous part of the trainable state; address and length in bytes."""

    name: str
    address: int
    length: int


@dataclass(frozen=True)
class StateSpanRequest:
    """Where state span `index` is, in network order."""

    kind: ClassVar[int] = 7
    index: int

    def pack(self) -> bytes:
        return struct.pack("<I", self.index)

    def parse_reply(self, body: bytes) -> StateSpan:
        address, length = unpack_head("<QI", body, "the reply to STATE_SPAN")
        (name,) = strings(body[12:], 1, "the reply to STATE_SPAN")
        return StateSpan(name, span_start(address, length, f"state span {name!r}"), length)


@dataclass(frozen=True)
class ReadRequest:
    """Reads memory; length in 0..MAX_READ."""

    kind: ClassVar[int] = 8
    address: int
    length: int

    def pack(self) -> bytes:
        return struct.pack("<QI", self.address, self.length)

    def parse_reply(self, body: bytes) -> bytes:
        if len(body) != self.length:
            raise LinkError(f"READ of {self.length} bytes was answered with {len(body)} bytes")
        return body


@dataclass(frozen=True)
class WriteRequest:
    """Writes memory; at most MAX_WRITE bytes."""

    kind: ClassVar[int] = 9
    address: int
    data: bytes

    def pack(self) -> bytes:
        return struct.pack("<Q", self.address) + self.data

    def parse_reply(self, body: bytes) -> None:
        unpack("", body, "the reply to WRITE")
