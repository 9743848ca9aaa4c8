"""What a user's trainer is, asked of itself while it runs; and whether its buffers are its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.deadline import Deadline
from harness.devices.factory import open_device
from harness.errors import DeviceError, MeasurementError
from harness.firmware.elf_sections import SramLayout
from harness.link.messages import TrainerInfo
from harness.measure.sram import Span
from harness.run.session import Session
from harness.targets import Target
from harness.trainers.build import build_trainer
from harness.trainers.declaration import TrainerDeclaration, TrainerError

ASK_SECONDS = 60.0
CHANNELS = (1, 3)


@dataclass(frozen=True)
class ForeignTrainer:
    """A user's trainer and what it says it is. Its arena and state may differ in size from core to core."""

    declared: TrainerDeclaration
    info: TrainerInfo
    digest: str
    """SHA-256 of its sources."""

    @property
    def image_size(self) -> int:
        """Height and width of its pictures, pixels."""
        return self.info.input_height


def ask_trainer(declared: TrainerDeclaration, target: Target) -> ForeignTrainer:
    """Build the trainer for `target`, start it there and ask. BuildError, or TrainerError with its fault."""
    digest = declared.digest()
    with TemporaryDirectory(prefix="trainbench-trainer-") as folder:
        firmware = build_trainer(declared, target, Path(folder))
        deadline = Deadline.after(ASK_SECONDS)
        try:
            with open_device(target, deadline) as device:
                device.load(firmware.elf, deadline)
                session = Session(device, deadline=deadline)
                info = session.start()
                check_buffers(info, session.spans, firmware.sram)
        except (DeviceError, MeasurementError) as error:
            raise TrainerError(f"trainer {declared.name}: {error}") from error
    check_pictures(declared.name, info)
    return ForeignTrainer(declared, info, digest)


def check_pictures(name: str, info: TrainerInfo) -> None:
    """TrainerError unless it takes pictures that there are: square, of 1 or 3 channels."""
    height, width, channels = info.input_height, info.input_width, info.input_channels
    if height != width or channels not in CHANNELS:
        raise TrainerError(
            f"trainer {name} takes pictures of {height} x {width} pixels with {channels} channels; the"
            " datasets give square ones with 3 channels (RGB) or 1 (gray)"
        )


def check_buffers(info: TrainerInfo, spans: Sequence[Span], layout: SramLayout) -> None:
    """MeasurementError unless input buffer and state lie in the trainer's own SRAM; no span twice.

    The harness writes to the one and believes the other.
    """
    if not spans:
        raise MeasurementError(
            "it names no trainable state (trainer_state_count is 0), so nothing can be held equal"
        )
    own = (*layout.static, *layout.state, *layout.arena)
    buffers = [("input buffer", Span(info.input_address, info.input_bytes))]
    buffers += [(f"state span {number}", span) for number, span in enumerate(spans)]
    for what, span in buffers:
        if not any(owner.start <= span.start and span.end <= owner.end for owner in own):
            raise MeasurementError(
                f"its {what} is {span.size} bytes at 0x{span.start:08x}, which is not in the trainer's own"
                " static data, state or arena"
            )
    ordered = sorted(enumerate(spans), key=lambda item: item[1].start)
    for (number, first), (other, second) in pairwise(ordered):
        if first.overlaps(second):
            raise MeasurementError(f"its state spans {number} and {other} overlap")
