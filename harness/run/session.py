"""A loaded, running trainer and the link to it: samples in through the probe, replies out over the link."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.deadline import Deadline
from harness.devices.base import Device
from harness.errors import DeviceError, DeviceFault, DeviceGone, DeviceHang, LinkError, MeasurementError
from harness.link.client import LinkClient
from harness.link.messages import StateSpanRequest, TrainerInfo
from harness.measure.accuracy import PredictReply, StepReply
from harness.measure.digest import state_digest
from harness.measure.sram import Span

STEP_SECONDS = 120.0
"""Default deadline of one training step or prediction: forty times a full update on an emulator."""
CALL_SECONDS = 20.0
"""Deadline of everything else that is asked of a device."""
_REAP_SECONDS = 1.0
_LARGEST_ALIGNMENT = 8


class Session:
    """Drives the trainer of a device whose firmware is loaded; `start` resumes it and says hello.

    Every method ends with a reply or with one of DeviceFault, DeviceHang, DeviceGone, LinkError: the device
    is asked for the reason of its silence.
    """

    def __init__(
        self, device: Device, *, step_seconds: float = STEP_SECONDS, deadline: Deadline | None = None
    ) -> None:
        """`deadline`: of everything that is done with the device; no wait goes beyond it."""
        self._device = device
        self._deadline = deadline
        self._step_seconds = step_seconds
        self._link: LinkClient | None = None
        self._info: TrainerInfo | None = None
        self._spans: tuple[Span, ...] = ()
        self._rate: float | None = None
        """What the trainer has not been told yet."""

    def start(self) -> TrainerInfo:
        """Let the firmware run and learn where its buffers are."""
        with self._diagnosed("the firmware starts"):
            deadline = self._within(CALL_SECONDS)
            self._link = LinkClient(self._device.serial(), on_silence=self._look)
            self._device.resume(deadline)
            self._link.hello(deadline)
            self._info = self._link.info(deadline)
            self._spans = tuple(Span(span.address, span.length) for span in self._link.state_spans(deadline))
        _check_state(self._info.state_bytes, self._spans)
        return self._info

    @property
    def info(self) -> TrainerInfo:
        if self._info is None:
            raise LinkError("the session was not started")
        return self._info

    @property
    def spans(self) -> tuple[Span, ...]:
        """The trainable state, as the running trainer named it."""
        return self._spans

    def reset(self, seed: int) -> None:
        """Back to the compiled-in weights, with no learning rate; `seed` starts stochastic rounding."""
        self._rate = None  # which a trainer forgets
        with self._diagnosed("it resets"):
            self._client.reset(seed, self._within(CALL_SECONDS))

    def set_learning_rate(self, learning_rate: float) -> None:
        """Step size per image, from the next training step on; it goes with that step."""
        self._rate = learning_rate

    def round_trip(self) -> None:
        """An exchange that asks for next to nothing."""
        with self._diagnosed("it is asked for a span"):
            self._client.request(StateSpanRequest(0), self._within(CALL_SECONDS))

    def train(self, sample: bytes, label: int, on_placed: Callable[[], None] = lambda: None) -> StepReply:
        """One training step on `sample` (int8, HWC). Ticks in the target's tick unit.

        `on_placed` is called when the sample is in place, before the step is asked for.
        """
        if not 0 <= label < self.info.classes:
            raise MeasurementError(f"label {label} does not fit a trainer with {self.info.classes} classes")
        with self._diagnosed("a training step"):
            self._put(sample)
            on_placed()
            step = self._client.train(label, self._within(self._step_seconds), self._rate)
        self._rate = None
        return StepReply(loss=step.loss, ticks=step.ticks)

    def predict(self, sample: bytes) -> PredictReply:
        """Logits of `sample` (int8, HWC). Ticks in the target's tick unit."""
        with self._diagnosed("a prediction"):
            self._put(sample)
            prediction = self._client.predict(self._within(self._step_seconds))
        return PredictReply(logits=prediction.logits, ticks=prediction.ticks)

    def digest(self) -> str:
        """SHA-256 of the trainable state as it is now."""
        with self._diagnosed("its state is read"):
            return state_digest(self._device.memory, self._spans)

    def stop(self) -> None:
        """Halt the core, so that memory can be read without the firmware changing it."""
        with self._diagnosed("it is halted"):
            self._device.halt(self._within(CALL_SECONDS))

    def go_on(self) -> None:
        """Let a stopped core run again."""
        with self._diagnosed("it runs on"):
            self._device.resume(self._within(CALL_SECONDS))

    def link_trouble(self) -> str | None:
        """A warning when the line damaged frames, None on a good one. Replies were exact all the same."""
        counters = self._client.counters
        damaged = counters.damaged_replies + counters.damaged_requests
        if damaged == 0:
            return None
        return f"{damaged} of {counters.requests} frames on the serial link were damaged and sent again"

    def _within(self, seconds: float) -> Deadline:
        return Deadline.after(seconds) if self._deadline is None else self._deadline.within(seconds)

    def _look(self) -> None:
        """End the wait for a device that will never answer; one that computes is left alone."""
        if self._device.diagnose().kind in ("fault", "exited"):
            raise DeviceHang("the device stopped")

    @property
    def _client(self) -> LinkClient:
        if self._link is None:
            raise LinkError("the session was not started")
        return self._link

    def _put(self, sample: bytes) -> None:
        if len(sample) != self.info.input_bytes:
            raise MeasurementError(
                f"a sample has {len(sample)} bytes, the trainer takes {self.info.input_bytes}"
                f" ({self.info.input_height} x {self.info.input_width} x {self.info.input_channels})"
            )
        self._device.memory.write(self.info.input_address, sample)

    @contextmanager
    def _diagnosed(self, doing: str) -> Iterator[None]:
        """Turn silence into its reason: what the device shows when looked at decides the error's class."""
        try:
            yield
        except (DeviceHang, DeviceGone, LinkError) as error:
            raise self._explain(error, doing) from error

    def _explain(self, error: DeviceError, doing: str) -> DeviceError:
        diagnosis = self._device.diagnose()
        patience = Deadline.after(_REAP_SECONDS if isinstance(error, DeviceGone) else 0.0)
        while diagnosis.kind not in ("fault", "exited") and not patience.expired:
            # Its sockets close a moment before the process can be seen to have ended.
            time.sleep(0.02)
            diagnosis = self._device.diagnose()
        where = f"{self._device.name}, while {doing}"
        if diagnosis.kind == "fault":
            return DeviceFault(f"{where}: {diagnosis.sentence}")
        if diagnosis.kind == "exited":
            return DeviceGone(f"{where}: {diagnosis.sentence}")
        if isinstance(error, LinkError):
            return LinkError(f"{where}: {error}")
        return type(error)(f"{where}: {error}; {diagnosis.sentence}")


def _check_state(state_bytes: int, spans: tuple[Span, ...]) -> None:
    """The spans have to make up the state, but for what alignment leaves between them."""
    found = sum(span.size for span in spans)
    if not 0 <= state_bytes - found <= _LARGEST_ALIGNMENT * len(spans):
        raise MeasurementError(
            f"the trainer says its state has {state_bytes} bytes, but its {len(spans)} spans have {found}"
        )
