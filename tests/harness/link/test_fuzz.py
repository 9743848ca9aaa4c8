"""Damaged streams on both sides of the link: nothing that was not sent is ever taken for a frame.

20,000 streams a side by default; a million with `-m slow`, or as many as TRAINBENCH_FUZZ_FRAMES says.
The counts are printed with `-s`.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from cobs import cobs

from harness.errors import LinkError
from harness.link.frames import MAX_BODY, Frame, FrameSplitter, decode_frame, encode_frame

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
AGENT = ROOT / "harness" / "agent"
FULL = 1_000_000
COUNTS = [int(os.environ.get("TRAINBENCH_FUZZ_FRAMES", "20000")), pytest.param(FULL, marks=pytest.mark.slow)]
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")

Mutation = Callable[[random.Random, bytearray, bytes], None]
Decode = Callable[[bytes], Frame]


# The streams that the host receives


def place(chance: random.Random, wire: bytearray) -> int:
    """A byte that is not a delimiter."""
    return chance.randrange(1, len(wire) - 1)


def flip(chance: random.Random, wire: bytearray, other: bytes) -> None:
    for _ in range(chance.randint(1, 8)):
        wire[place(chance, wire)] ^= 1 << chance.randrange(8)


def burst(chance: random.Random, wire: bytearray, other: bytes) -> None:
    at = place(chance, wire)
    end = min(len(wire) - 1, at + chance.randint(1, 8))
    wire[at:end] = chance.randbytes(end - at)


def drop(chance: random.Random, wire: bytearray, other: bytes) -> None:
    at = place(chance, wire)
    del wire[at : min(len(wire) - 1, at + chance.randint(1, 8))]


def duplicate(chance: random.Random, wire: bytearray, other: bytes) -> None:
    at = place(chance, wire)
    wire[at:at] = wire[at : min(len(wire) - 1, at + chance.randint(1, 8))]


def insert(chance: random.Random, wire: bytearray, other: bytes) -> None:
    at = place(chance, wire)
    wire[at:at] = chance.randbytes(chance.randint(1, 8))


def truncate(chance: random.Random, wire: bytearray, other: bytes) -> None:
    del wire[place(chance, wire) :]


def zero(chance: random.Random, wire: bytearray, other: bytes) -> None:
    wire[place(chance, wire)] = 0


def swap(chance: random.Random, wire: bytearray, other: bytes) -> None:
    one, two = place(chance, wire), place(chance, wire)
    wire[one], wire[two] = wire[two], wire[one]


def splice(chance: random.Random, wire: bytearray, other: bytes) -> None:
    """The head of one frame and the tail of another."""
    wire[place(chance, wire) :] = other[chance.randrange(1, len(other) - 1) :]


def merge(chance: random.Random, wire: bytearray, other: bytes) -> None:
    """Two frames with no delimiter between them."""
    wire[-1:] = other[1:]


MUTATIONS: tuple[Mutation, ...] = (
    *(flip, burst, drop, duplicate, insert, truncate, zero, swap, splice, merge),
)


def random_frame(chance: random.Random, sequence: int) -> Frame:
    """Mostly short, sometimes at the limit; with many zero bytes, which COBS treats apart."""
    length = chance.choice((chance.randrange(40),) * 14 + (200 + chance.randrange(120), MAX_BODY))
    body = chance.randbytes(length).replace(b"\x11", b"\0").replace(b"\x12", b"\0\0")[:MAX_BODY]
    return Frame(chance.randrange(256), sequence & 0xFFFF, body)


def fuzz_host(count: int, seed: int, decode: Decode = decode_frame) -> dict[str, Counter[str]]:
    """Counts by mutation: damaged streams, pieces refused, frames accepted as sent and as not sent."""
    chance = random.Random(seed)
    frames = [random_frame(chance, number) for number in range(4096)]
    wires = [encode_frame(frame) for frame in frames]
    found = {mutation.__name__: Counter[str]() for mutation in MUTATIONS}
    damaged = 0
    while damaged < count:
        mutation = MUTATIONS[damaged % len(MUTATIONS)]
        first, second = chance.randrange(len(frames)), chance.randrange(len(frames))
        stream = bytearray(wires[first])
        mutation(chance, stream, wires[second])
        if stream == wires[first]:
            continue
        damaged += 1
        counter = found[mutation.__name__]
        counter["damaged"] += 1
        for piece in FrameSplitter().feed(bytes(stream) + b"\0"):
            try:
                frame = decode(piece)
            except LinkError:
                counter["refused"] += 1
                continue
            sent = frame in (frames[first], frames[second])
            counter["equal" if sent else "different"] += 1
    return found


FRAME_COLUMNS = ("damaged", "equal", "different", "refused")
COMMAND_COLUMNS = ("asked", "answered", "refused")


def print_counts(side: str, found: dict[str, Counter[str]], columns: tuple[str, ...]) -> Counter[str]:
    """The table, and its totals."""
    total: Counter[str] = sum(found.values(), Counter())
    lines = [f"{side:20}" + "".join(f"{name:>12}" for name in columns)]
    for name, counter in [*found.items(), ("all", total)]:
        lines.append(f"{name:20}" + "".join(f"{counter[column]:12,}" for column in columns))
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    return total


@pytest.mark.parametrize("count", COUNTS)
def test_host_accepts_no_damaged_frame(count: int) -> None:
    total = print_counts("host", fuzz_host(count, seed=1), FRAME_COLUMNS)
    assert total["damaged"] == count
    assert total["different"] == 0


def test_counts_show_a_host_that_checks_no_crc() -> None:
    def blind(piece: bytes) -> Frame:
        try:
            plain: bytes = cobs.decode(piece)
        except cobs.DecodeError as error:
            raise LinkError(str(error)) from error
        return Frame(plain[1] if len(plain) > 1 else 0, 0, plain[4:-4])

    found = fuzz_host(1000, seed=1, decode=blind)
    for name in ("flip", "burst", "duplicate", "swap", "splice", "merge"):
        assert found[name]["different"] > 0, name


def test_a_crc_of_8_bits_lets_one_in_256_pass() -> None:
    """The counts see collisions where there are any. A third of the pieces get as far as the CRC."""
    reached = 0

    def narrow(piece: bytes) -> Frame:
        nonlocal reached
        try:
            plain: bytes = cobs.decode(piece)
        except cobs.DecodeError as error:
            raise LinkError(str(error)) from error
        if len(plain) < 8:
            raise LinkError("no room for header and CRC")
        reached += 1
        if (zlib.crc32(plain[:-4]) ^ plain[-4]) & 0xFF:
            raise LinkError("not its CRC")
        return Frame(plain[1], int.from_bytes(plain[2:4], "little"), plain[4:-4], plain[0])

    total: Counter[str] = sum(fuzz_host(20_000, seed=1, decode=narrow).values(), Counter())
    assert reached > 20_000 / 4
    expected = (reached - total["equal"]) / 256
    # Fewer than that: a change of up to eight bits in a row never passes.
    assert expected / 4 < total["different"] < expected * 2


# The agent, compiled for this computer

Driver = Callable[..., Path]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """Compiles a driver with the agent's sources under the address and undefined-behaviour sanitizers."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs gcc with its sanitizers")

    def build(name: str, *sources: str, blind: bool = False) -> Path:
        folder = tmp_path_factory.mktemp("fuzz")
        flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", *SANITIZERS]
        flags += [f"-I{AGENT}", f"-I{ROOT / 'engine' / 'runtime'}", f"-I{HERE}"]
        objects = []
        for source in (HERE / f"{name}.c", *(AGENT / each for each in sources)):
            more = ["-DFUZZ_BLIND"] if blind else []
            if blind and source.name == "frame.c":
                more.append("-Dagent_crc32=frame_crc32")
            objects.append(folder / f"{source.stem}.o")
            subprocess.run([compiler, *flags, *more, "-c", source, "-o", objects[-1]], check=True)
        subprocess.run([compiler, *SANITIZERS, *objects, "-o", folder / name], check=True)
        return folder / name

    return build


def drive(program: Path, count: int, columns: tuple[str, ...]) -> dict[str, Counter[str]]:
    """Runs a driver; its counts by row. A finding of a sanitizer fails here."""
    result = subprocess.run(
        [program, str(count), "1"], capture_output=True, text=True, timeout=1800, check=False
    )
    assert result.returncode == 0, result.stderr[-4000:]
    rows = [line.split() for line in result.stdout.splitlines()]
    return {row[0]: Counter(dict(zip(columns, map(int, row[1:]), strict=True))) for row in rows}


@pytest.mark.parametrize("count", COUNTS)
def test_agent_accepts_no_damaged_frame(driver: Driver, count: int) -> None:
    program = driver("fuzz_frames", "agent.c", "frame.c", "body.c")
    total = print_counts("firmware", drive(program, count, FRAME_COLUMNS), FRAME_COLUMNS)
    assert total["damaged"] == count
    assert total["different"] == 0


def test_counts_show_an_agent_that_checks_no_crc(driver: Driver) -> None:
    program = driver("fuzz_frames", "agent.c", "frame.c", "body.c", blind=True)
    found = drive(program, 2000, FRAME_COLUMNS)
    assert found["flip"]["different"] > 0
    assert found["burst"]["different"] > 0


@pytest.mark.parametrize("count", COUNTS)
def test_agent_answers_hostile_requests_and_stays_within_its_memory(driver: Driver, count: int) -> None:
    program = driver("fuzz_commands", "agent.c", "commands.c", "frame.c", "body.c")
    found = drive(program, count, COMMAND_COLUMNS)
    total = print_counts("commands", found, COMMAND_COLUMNS)
    assert total["answered"] + total["refused"] == count
    for name in ("INFO", "RESET", "PREDICT", "TRAIN", "STATE_SPAN", "READ", "WRITE"):
        assert found[name]["answered"] > 0, name
        assert found[name]["refused"] > 0, name
    assert found["unknown"]["answered"] == found["0"]["answered"] == 0
