"""The tiny trainer, built for any target once per set of options, and run on a device of its own."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness.deadline import Deadline
from harness.devices.base import Device
from harness.devices.factory import open_device
from harness.errors import ToolMissingError
from harness.firmware.build import Firmware, build_firmware
from harness.link.client import LinkClient, Step
from harness.link.messages import TrainerInfo
from harness.targets import load_target

# Helper modules: import-mode=importlib adds no folder by itself.
sys.path.insert(0, str(Path(__file__).parent))

TINY_TRAINER = Path(__file__).resolve().parents[1] / "data" / "tiny_trainer"


def soon() -> Deadline:
    return Deadline.after(30)


@dataclass(frozen=True)
class Run:
    """A firmware that runs and has answered HELLO."""

    firmware: Firmware
    device: Device
    client: LinkClient
    info: TrainerInfo

    def put(self, sample: bytes) -> None:
        self.device.memory.write(self.info.input_address, sample)

    def train(self, steps: int) -> list[Step]:
        """Reset with seed 7 and train on the same random pictures everywhere."""
        self.client.reset(7, soon())
        self.client.set_learning_rate(0.5, soon())
        random = np.random.default_rng(1)
        done = []
        for number in range(steps):
            self.put(random.integers(-128, 128, self.info.input_bytes, dtype=np.int8).tobytes())
            done.append(self.client.train(number % self.info.classes, soon()))
        return done

    def state_digest(self) -> str:
        spans = self.client.state_spans(soon())
        state = b"".join(self.device.memory.read(span.address, span.length) for span in spans)
        return hashlib.sha256(state).hexdigest()


Start = Callable[..., AbstractContextManager[Run]]


@pytest.fixture(scope="session")
def start_tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """`with start_tiny("qemu-mps2-an500", optimization="-O0") as run`, with options of build_firmware."""
    built: dict[str, Firmware] = {}

    @contextmanager
    def start(name: str, **options: object) -> Iterator[Run]:
        target = load_target(name)
        key = repr((name, sorted(options.items())))
        try:
            if key not in built:
                folder = tmp_path_factory.mktemp("firmware")
                built[key] = build_firmware(TINY_TRAINER, target, folder, **options)  # type: ignore[arg-type]
            device = open_device(target, soon())
        except ToolMissingError as error:
            pytest.skip(str(error))
        with device:
            device.load(built[key].elf, soon())
            client = LinkClient(device.serial())
            device.resume(soon())
            client.hello(soon())
            yield Run(built[key], device, client, client.info(soon()))

    yield start
