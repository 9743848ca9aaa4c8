"""The board driver against a scripted probe: real boards are not at hand. Faults are those a bench has."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyocd.core.exceptions import ProbeDisconnected, TransferFaultError

from harness.deadline import Deadline
from harness.devices.bench import Bench
from harness.devices.board import CLOCK_MAGIC, CLOCK_SYMBOL, BoardDevice
from harness.devices.clocks import CLOCK_TREES
from harness.devices.elf import Image, Segment, Symbol
from harness.errors import DeviceGone, HarnessError, LoadError, MeasurementError, RackError, ToolMissingError
from harness.rack import recovery
from harness.rack.file import Board, Rack
from harness.rack.lock import BoardHeld
from harness.rack.retries import attempt
from harness.targets import load_target

TARGET = load_target("stm32f746g-disco")
PROBE = "066DFF303451343257215418"
IDCODE, UID = 0x10016449, bytes(range(12))
CLOCK_AT = 0x20001000
REGISTERS = {  # 25 MHz / 25 * 432 / 2; PPRE1 4, PPRE2 2, from the PLL
    "RCC_PLLCFGR": 0x29406C19,
    "RCC_CFGR": 0x0000940A,
    "FLASH_ACR": 0x307,
    "RCC_DCKCFGR2": 0,
}


@dataclass
class Line:
    """A serial port that is never used."""

    closed: bool = False

    def reset_input_buffer(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@dataclass
class Core:
    """Memory by address; `gone` makes every access fail as pyOCD does when the probe is pulled out."""

    memory: dict[int, int]
    gone: bool = False
    log: list[str] = field(default_factory=list)

    def read32(self, address: int) -> int:
        return int.from_bytes(self.read_memory_block8(address, 4), "little")

    def read_memory_block8(self, address: int, length: int) -> list[int]:
        if self.gone:
            raise ProbeDisconnected("no device")
        try:
            return [self.memory[at] for at in range(address, address + length)]
        except KeyError as error:
            raise TransferFaultError("no memory", fault_address=address) from error

    def put(self, address: int, data: bytes) -> None:
        self.memory.update(zip(range(address, address + len(data)), data, strict=True))

    def reset_and_halt(self) -> None:
        self.log.append("reset")

    @property
    def ap(self) -> "Core":
        return self


class Scene:
    """What is plugged in, and what the board answers. A test changes it before or while it is used."""

    def __init__(self) -> None:
        self.core = Core({})
        part = TARGET.board
        assert part is not None
        self.core.put(part.idcode_address, struct.pack("<I", IDCODE))
        self.core.put(part.uid_address, UID)
        self.set_clock(REGISTERS)
        self.line = Line()
        self.probes = [SimpleNamespace(unique_id=PROBE, description="STM32 STLink")]
        self.ports = [SimpleNamespace(device="/dev/ttyACM7", serial_number=PROBE)]
        self.opened: list[str] = []
        self.closed = False
        self.known = True
        self.busy_port = False

    def set_clock(self, values: dict[str, int], *, record: bool = True) -> None:
        for name, address in CLOCK_TREES["stm32f7"].registers.items():
            self.core.put(address, struct.pack("<I", values[name]))
        if record:
            rates = CLOCK_TREES["stm32f7"].rates(values, 25_000_000)
            words = (CLOCK_MAGIC, rates.core, rates.usart, *values.values())
            self.core.put(CLOCK_AT, struct.pack(f"<{len(words)}I", *words))

    def _port(self, device: str) -> Any:
        self.opened.append(device)
        if self.busy_port:
            raise OSError("Could not exclusively lock port")
        return self.line

    def _session(self, probe: Any, part: Any) -> Any:
        if self.core.gone:
            raise ProbeDisconnected("no device")
        self.opened.append(probe.unique_id)
        target = SimpleNamespace(selected_core=self.core)
        return SimpleNamespace(target=target, close=lambda: setattr(self, "closed", True))

    @property
    def bench(self) -> Bench:
        return Bench(
            probes=lambda wanted: self.probes,
            ports=lambda: self.ports,
            port=self._port,
            session=self._session,
            knows=lambda part: self.known,
        )


class Programmed(BoardDevice):
    """Programs the scripted memory; `damage` happens to it after."""

    damage: Callable[[Core], None] = staticmethod(lambda core: None)

    def _program(self, image: Image) -> None:
        for segment in image.segments:
            self.core.put(segment.address, segment.data)
        self.damage(self.core)


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def rack(tmp_path: Path) -> Rack:
    return Rack(state=tmp_path)


def soon() -> Deadline:
    return Deadline.after(5)


def connect(scene: Scene, rack: Rack, **options: Any) -> Programmed:
    return Programmed(TARGET, soon(), rack, bench=scene.bench, **options)


@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch) -> Path:
    path = Path("firmware.elf")
    segments = (
        Segment(0x08000000, b"\x00\x20\x00\x20\x01\x00\x00\x08", False),
        Segment(0x08000100, b"code", False),
    )
    symbols = {CLOCK_SYMBOL: Symbol(CLOCK_SYMBOL, CLOCK_AT, 60)}
    found = Image(path, "EM_ARM", False, segments, symbols)
    monkeypatch.setattr("harness.devices.probed.read_image", lambda _: found)
    return path


def test_the_only_board_is_opened_by_its_serial_number_and_given_back(scene: Scene, rack: Rack) -> None:
    scene.ports.insert(0, SimpleNamespace(device="/dev/ttyACM0", serial_number="ANOTHER"))
    scene.ports.append(SimpleNamespace(device="/dev/ttyS0", serial_number=None))
    with connect(scene, rack) as device:
        assert scene.opened == [PROBE, "/dev/ttyACM7"]
        assert device.serial() is scene.line
        assert device.versions["probe"] == PROBE
        assert device.versions["idcode"] == "0x10016449"
        with pytest.raises(BoardHeld, match="is held by"):
            Programmed(TARGET, Deadline.after(0.2), rack, bench=scene.bench)
    assert scene.closed
    assert scene.line.closed
    connect(scene, rack).close()


def test_loading_reads_back_and_ends_at_the_reset_handler(scene: Scene, rack: Rack, image: Path) -> None:
    with connect(scene, rack) as device:
        device.load(image, soon())
        assert device.read(0x08000100, 4) == b"code"
        assert scene.core.log == ["reset", "reset"]


def test_flash_that_did_not_take_a_byte_is_not_run(
    scene: Scene, rack: Rack, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worn = staticmethod(lambda core: core.put(0x08000101, b"\xff"))
    monkeypatch.setattr(Programmed, "damage", worn)
    with (
        connect(scene, rack) as device,
        pytest.raises(LoadError, match="0x08000101 holds 0xff where the file has 0x6f"),
    ):
        device.load(image, soon())


def test_flash_that_was_not_programmed_is_not_run(
    scene: Scene, rack: Rack, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Programmed, "_program", lambda self, image: None)
    scene.core.put(0x08000000, bytes(0x200))
    with connect(scene, rack) as device, pytest.raises(LoadError, match="0x08000001 holds 0x00"):
        device.load(image, soon())


def test_a_probe_that_is_pulled_out_is_gone(scene: Scene, rack: Rack, image: Path) -> None:
    with connect(scene, rack) as device:
        device.load(image, soon())
        scene.core.gone = True
        with pytest.raises(DeviceGone, match="reading 4 bytes at 0x08000100 failed: no device"):
            device.read(0x08000100, 4)
        scene.ports.clear()
        with pytest.raises(
            DeviceGone, match=f"its probe {PROBE} with the port /dev/ttyACM7 left the USB bus"
        ):
            device.read(0x08000100, 4)
        assert device.diagnose().kind == "exited"


def refused(scene: Scene, rack: Rack, kind: type[HarnessError], words: str, **options: Any) -> None:
    with pytest.raises(kind, match=words):
        connect(scene, rack, **options)
    # Whatever was refused, nothing is left locked or open.
    assert scene.closed or PROBE not in scene.opened
    fresh = Scene()
    fresh.probes[0].unique_id = fresh.ports[0].serial_number = (
        scene.probes[0].unique_id if scene.probes else PROBE
    )
    Programmed(TARGET, soon(), Rack(state=rack.state), bench=fresh.bench).close()


def test_no_probe_says_what_to_plug_in(scene: Scene, rack: Rack) -> None:
    scene.probes.clear()
    refused(scene, rack, RackError, r"no debug probe is attached; connect STM32F746G-DISCO .* at CN14")


def test_several_probes_are_listed(scene: Scene, rack: Rack) -> None:
    scene.probes.append(SimpleNamespace(unique_id="0674", description="another"))
    refused(
        scene,
        rack,
        RackError,
        rf"2 debug probes are attached: {PROBE} \(STM32 STLink\), 0674 \(another\).*--probe",
    )
    with connect(scene, rack, probe=PROBE.lower()) as device:
        assert device.versions["probe"] == PROBE


def test_a_probe_whose_id_only_contains_the_wanted_one_is_another(scene: Scene, rack: Rack) -> None:
    refused(scene, rack, RackError, "no debug probe with the unique ID 066DFF is attached", probe="066DFF")


def test_a_part_of_another_kind_is_refused(scene: Scene, rack: Rack) -> None:
    part = TARGET.board
    assert part is not None
    scene.core.put(part.idcode_address, struct.pack("<I", 0x20036450))
    refused(scene, rack, RackError, "is no stm32f746g-disco: its part has the device ID 0x450 where .* 0x449")


@pytest.mark.parametrize(
    ("ports", "words"),
    [
        ((), f"the USB device {PROBE} has no serial port"),
        (("/dev/ttyACM1", "/dev/ttyACM2"), "has 2 serial ports: /dev/ttyACM1, /dev/ttyACM2"),
    ],
)
def test_a_serial_port_that_cannot_be_told_is_refused(
    scene: Scene, rack: Rack, ports: tuple[str, ...], words: str
) -> None:
    scene.ports = [SimpleNamespace(device=device, serial_number=PROBE) for device in ports]
    refused(scene, rack, RackError, words)


def test_a_serial_port_that_another_program_has_is_refused(scene: Scene, rack: Rack) -> None:
    scene.busy_port = True
    refused(scene, rack, RackError, "/dev/ttyACM7 cannot be opened: Could not exclusively lock port")


def test_a_probe_that_does_not_connect_is_gone(scene: Scene, rack: Rack) -> None:
    scene.core.gone = True
    refused(scene, rack, DeviceGone, "connecting failed: no device")


def test_a_pack_that_is_missing_says_how_to_install_it(scene: Scene, rack: Rack) -> None:
    scene.known = False
    refused(scene, rack, ToolMissingError, "Keil.STM32F7xx_DFP.* run: pyocd pack install stm32f746nghx")


def named(**changes: Any) -> Board:
    values: dict[str, Any] = {"name": "disco-1", "target": TARGET.name, "probe": PROBE, "uid": UID.hex()}
    return Board(**values | changes)


def test_a_board_of_the_rack_is_used_by_name(scene: Scene, tmp_path: Path) -> None:
    scene.probes.append(SimpleNamespace(unique_id="0674", description="another"))
    with connect(scene, Rack(state=tmp_path, boards=(named(),))) as device:
        assert (device.board, device.versions["board"]) == ("disco-1", "disco-1")
    other = named(name="disco-2", probe="0674", uid=None)
    with connect(scene, Rack(state=tmp_path, boards=(other, named())), board="disco-1") as device:
        assert device.board == "disco-1"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"uid": "ff" * 12},
            "this is not board disco-1: its chip has the unique ID 000102030405060708090a0b",
        ),
        ({"idcode": 0x10006449}, "its identification code is 0x10016449 where the rack file has 0x10006449"),
    ],
)
def test_a_swapped_board_of_the_rack_is_refused(
    scene: Scene, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    refused(scene, Rack(state=tmp_path, boards=(named(**changes),)), RackError, words)


def powered(tmp_path: Path, command: str, **changes: Any) -> Rack:
    """A rack whose board has a power command, run by the shell with the board's name as $0."""
    board = named(power=("sh", "-c", command, "{board}"), **changes)
    return Rack(state=tmp_path, boards=(board,))


def test_a_board_that_went_away_gets_its_power_cycled_while_it_is_locked(
    scene: Scene, tmp_path: Path, image: Path
) -> None:
    state = tmp_path / "state"
    held = f"flock -n {state}/locks/disco-1.lock true && echo free || echo held"
    rack = powered(state, f"{{ echo $0; {held}; }} >> {tmp_path}/log")
    with pytest.raises(DeviceGone) as caught, connect(scene, rack, recover=True) as device:
        device.load(image, soon())
        scene.core.gone = True
        device.read(0x08000100, 4)
    assert caught.value.__notes__ == ["the power of board disco-1 was cycled"]
    assert (tmp_path / "log").read_text().split() == ["disco-1", "held"]
    assert scene.closed
    assert attempt(caught.value).recovery == "the power of board disco-1 was cycled"
    with pytest.raises(DeviceGone, match="connecting failed") as caught:
        connect(scene, rack, recover=True)
    assert caught.value.__notes__ == ["the power of board disco-1 was cycled"]


def test_power_is_cycled_for_nothing_else(scene: Scene, tmp_path: Path, image: Path) -> None:
    rack = powered(tmp_path, f"touch {tmp_path}/cycled")
    with connect(scene, rack, recover=True) as device:
        device.load(image, soon())
    with pytest.raises(MeasurementError), connect(scene, rack, recover=True):
        raise MeasurementError("its own fault")
    with pytest.raises(RackError):
        connect(scene, powered(tmp_path, f"touch {tmp_path}/cycled", uid="ff" * 12), recover=True)
    scene.core.gone = True
    with pytest.raises(DeviceGone):
        connect(scene, rack)
    with pytest.raises(DeviceGone):
        connect(scene, Rack(state=tmp_path, boards=(named(),)), recover=True)
    assert not (tmp_path / "cycled").exists()


def test_power_that_cannot_be_cycled_hides_no_error(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.core.gone = True
    with pytest.raises(DeviceGone, match="connecting failed: no device") as caught:
        connect(scene, powered(tmp_path, "echo no such hub; exit 2"), recover=True)
    (note,) = caught.value.__notes__
    assert note.startswith("the power of board disco-1 could not be cycled: ")
    assert note.endswith("ended with exit code 2: no such hub")
    monkeypatch.setattr(recovery, "SECONDS", 0.5)
    monkeypatch.setattr(scene, "_session", lambda probe, part: scene.probes.clear() or scene.core.read32(0))
    with pytest.raises(DeviceGone) as caught:
        connect(scene, powered(tmp_path, "true"), recover=True)
    assert caught.value.__notes__ == [
        "the power of board disco-1 could not be cycled: its probe was not back within 0.5 s"
    ]


def test_the_clock_is_read_back(scene: Scene, rack: Rack, image: Path) -> None:
    with connect(scene, rack) as device:
        device.load(image, soon())
        reading = device.clock(soon())
    assert (reading.core_hz, reading.usart_hz) == (216_000_000, 108_000_000)
    assert reading.registers["RCC_PLLCFGR"] == "0x29406c19"


def test_a_clock_that_is_not_the_parts_is_no_measurement(scene: Scene, rack: Rack, image: Path) -> None:
    scene.set_clock(REGISTERS | {"RCC_CFGR": 0})  # HSI
    with connect(scene, rack) as device:
        device.load(image, soon())
        with pytest.raises(MeasurementError, match=r"runs at 16_000_000 Hz .* it should at 216_000_000"):
            device.clock(soon())


def test_a_clock_that_changed_since_the_firmware_set_it_up_is_no_measurement(
    scene: Scene, rack: Rack, image: Path
) -> None:
    scene.set_clock(REGISTERS | {"FLASH_ACR": 0x305}, record=False)
    with connect(scene, rack) as device:
        device.load(image, soon())
        with pytest.raises(MeasurementError, match="were changed since"):
            device.clock(soon())


def test_a_clock_that_was_never_set_up_is_no_measurement(scene: Scene, rack: Rack, image: Path) -> None:
    scene.core.put(CLOCK_AT, bytes(28))
    with connect(scene, rack) as device:
        device.load(image, soon())
        with pytest.raises(MeasurementError, match="has not set up the clock yet"):
            device.clock(soon())
