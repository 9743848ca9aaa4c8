"""One run of trainbench with one fault, and then without: what happened, and which rules were broken."""

from __future__ import annotations

import json
import os
import queue
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import chaos_oracle as oracle
import psutil
from chaos_faults import BUILDING, ON_THE_LINE, TIMED, Fault, line_settings

from harness.results.document import RunDocument

HERE = Path(__file__).parent
TARGET = "qemu-mps2-an500"
METHOD = "last:3"
RUN_SECONDS = 400.0
"""A run that takes longer hangs: its longest wait is that of a load."""
STEP_SECONDS = 6


class HungError(Exception):
    """A run did not end."""


class Factory:
    """A warm trainbench: see chaos_factory. One run at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, HERE / "chaos_factory.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parents[1],
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._hear("ready", 300)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())

    def _hear(self, word: str, seconds: float) -> int:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            raise HungError(f"nothing was heard for {seconds:g} s") from None
        found, _, number = line.partition(" ")
        if found != word:
            raise RuntimeError(f"the factory said {line!r} instead of {word}")
        return int(number or 0)

    def start(self, told: Mapping[str, Any]) -> int:
        """The process id of a new run."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return self._hear("started", 60)

    def ended(self, seconds: float) -> int:
        """The exit code of the run, or minus the signal that ended it. HungError: it still runs."""
        return oracle.exit_code(self._hear("ended", seconds))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True)
class Laboratory:
    """What all runs share: the reference's folder and builds, firmware to swap in, the emulator in PATH."""

    folder: Path
    backbone: Path
    reference: Path
    builds: Path
    swaps: Mapping[str, Path]
    tools: Path
    """A folder with the emulator's stand-in."""
    emulator: str
    seconds: float = 0.0
    """What a run without faults takes from the builds."""
    building_seconds: float = 0.0


@dataclass
class Outcome:
    """What became of a run. Everything in it can be written as JSON."""

    number: int
    fault: Fault
    code: int | None = None
    causes: list[str] = field(default_factory=list)
    """What trainbench gave as the cause, if it failed."""
    complete: bool = False
    """All cells were done although there was a fault."""
    resumed: bool = False
    """The same command completed it afterwards."""
    troubled: bool = False
    """A warning in a document says that the line was bad."""
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def row(self) -> dict[str, object]:
        return asdict(self)


def environment(laboratory: Laboratory, mark: str, told: Mapping[str, object]) -> dict[str, str]:
    return {
        "CHAOS_MARK": mark,
        "CHAOS_FAULT": json.dumps({**told, "real": laboratory.emulator}),
        "PATH": f"{laboratory.tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def order(
    laboratory: Laboratory, out: Path, mark: str, told: Mapping[str, object] | None = None, **more: object
) -> dict[str, object]:
    """What a factory is told: the command line of every run is the same."""
    words = ["run", "people-detection", "--backbone", laboratory.backbone, "--out", out, "--method", METHOD]
    words += ["--learning-rate", "0.001", "--epochs", "1", "--target", TARGET, "--seed", "0"]
    words += ["--jobs", "2", "--step-timeout", str(STEP_SECONDS)]
    return {
        "argv": list(map(str, words)),
        "stderr": str(out.parent / "stderr.txt"),
        "environment": environment(laboratory, mark, told or {}),
        "builds": str(laboratory.builds),
        "save": None,
        "elf": None,
        "file_limit": None,
        **more,
    }


def run_chaos(
    factory: Factory, laboratory: Laboratory, number: int, fault: Fault, reference: Mapping[str, RunDocument]
) -> Outcome:
    """The run with its fault, the oracle, the run again without, the oracle again."""
    outcome = Outcome(number, fault)
    began = time.monotonic()
    folder = laboratory.folder / f"run-{number}"
    out = folder / "out"
    out.mkdir(parents=True)
    room = Room(out, fault, laboratory)
    try:
        if fault.host_is_done:
            for path in laboratory.reference.glob("*__host__*.run.json"):
                shutil.copy(path, out)
        room.shrink()
        outcome.code = strike(factory, laboratory, fault, out, f"{os.getpid()}-{number}")
        documents = judge(outcome, out, reference, f"{os.getpid()}-{number}", whole=outcome.code == 0)
        outcome.complete = outcome.code == 0 and set(documents) == set(reference)
        if outcome.code == 0 and not all(each.status == "done" for each in documents.values()):
            outcome.broken.append("exit code 0 with a cell that is not done")
        done = {name for name, each in documents.items() if each.status == "done"}
        if outcome.code == -signal.SIGTERM and done != set(reference):
            # Python takes our handlers away when it has nothing left to do but to exit.
            outcome.broken.append("ended by SIGTERM before all was done")
        if outcome.code != -signal.SIGKILL:
            outcome.broken += oracle.unfinished_files(out)
        room.grow()
        if not outcome.complete and not outcome.broken:
            resume(factory, laboratory, outcome, out, reference)
    except HungError as error:
        outcome.broken.append(f"the run did not end: {error}")
        factory.close()
    finally:
        room.close()
    outcome.seconds = round(time.monotonic() - began, 1)
    if not outcome.broken:
        shutil.rmtree(folder)
    return outcome


def strike(factory: Factory, laboratory: Laboratory, fault: Fault, out: Path, mark: str) -> int:
    told: dict[str, object] = {}
    more: dict[str, object] = {}
    if fault.kind in ON_THE_LINE:
        told["line"] = line_settings(fault)
    if fault.kind.startswith("wrong-elf"):
        elf = out.parent / "firmware.elf"
        shutil.copy(laboratory.swaps["right"], elf)
        told["swap"] = [str(wrong_elf(laboratory, fault, out.parent)), str(elf)]
        more["elf"] = str(elf)
    if fault.kind in BUILDING:
        more["builds"] = None
    if fault.kind == "file-too-large":
        more["file_limit"] = int(2000 + fault.when * largest(laboratory.reference))
    main = factory.start(order(laboratory, out, mark, told, **more))
    if fault.kind in TIMED:
        building = fault.kind in BUILDING
        time.sleep(fault.when * (laboratory.building_seconds if building else laboratory.seconds))
        for process in victims(fault, main, mark):
            try:
                process.send_signal(signal.SIGTERM if fault.kind == "terminate-harness" else signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
    return factory.ended(RUN_SECONDS)


def victims(fault: Fault, main: int, mark: str) -> list[psutil.Process]:
    """Whom a timed fault strikes: at most one process."""
    try:
        if fault.kind not in ("kill-job", "kill-any"):
            return [psutil.Process(main)]
    except psutil.NoSuchProcess:
        return []
    family = sorted(
        (each for each in oracle.descendants(mark) if each.pid != main), key=lambda each: each.pid
    )
    if fault.kind == "kill-job":
        servers = {each.pid for each in family if is_server(each)}
        family = [each for each in family if is_server(each) and each.ppid() in servers]
    return [random.Random(fault.seed).choice(family)] if family else []


def is_server(process: psutil.Process) -> bool:
    """The fork server, or a job: its fork."""
    try:
        return "multiprocessing.forkserver" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def wrong_elf(laboratory: Laboratory, fault: Fault, folder: Path) -> Path:
    """The file that is swapped in."""
    if fault.kind != "wrong-elf-garbage":
        return laboratory.swaps[fault.kind]
    content = bytearray(laboratory.swaps["right"].read_bytes())
    place = random.Random(fault.seed).randrange(len(content))
    if fault.replies:
        del content[place:]
    else:
        content[place] ^= 1 + fault.seed % 255
    path = folder / "wrong.elf"
    path.write_bytes(content)
    return path


def judge(
    outcome: Outcome, out: Path, reference: Mapping[str, RunDocument], mark: str, *, whole: bool
) -> dict[str, RunDocument]:
    assert outcome.code is not None
    outcome.broken += oracle.left_processes(mark)
    outcome.broken += oracle.held_locks(out)
    documents, unreadable = oracle.stored(out)
    errors = (out.parent / "stderr.txt").read_text("utf-8", "replace")
    outcome.broken += unreadable
    outcome.broken += oracle.wrong_figures(documents, reference, whole=whole)
    outcome.broken += oracle.unnamed_failures(documents, outcome.code, errors)
    outcome.causes += [each.reason or "" for each in documents.values() if each.status == "failed"]
    if outcome.code == 2 and not outcome.causes:
        outcome.causes += errors.strip().splitlines()[-1:]
    outcome.troubled |= any("serial link" in text for each in documents.values() for text in each.warnings)
    return documents


def resume(
    factory: Factory,
    laboratory: Laboratory,
    outcome: Outcome,
    out: Path,
    reference: Mapping[str, RunDocument],
) -> None:
    """The same command again, with nothing in its way: it has to give the reference."""
    mark = f"{os.getpid()}-{outcome.number}-again"
    (out.parent / "stderr.txt").unlink(missing_ok=True)
    builds = None if outcome.fault.kind in BUILDING else str(laboratory.builds)
    factory.start(order(laboratory, out, mark, builds=builds))
    code = factory.ended(RUN_SECONDS)
    documents, broken = oracle.stored(out)
    broken += oracle.left_processes(mark) + oracle.held_locks(out)
    broken += oracle.unfinished_files(out)
    broken += oracle.wrong_figures(documents, reference, whole=True)
    if code != 0 or set(documents) != set(reference):
        broken.append(f"the same command afterwards ended with {code}")
    broken += [
        f"{name} is {each.status} afterwards" for name, each in documents.items() if each.status != "done"
    ]
    outcome.broken += [f"resumed: {text}" for text in broken]
    outcome.resumed = not broken


def largest(folder: Path) -> int:
    return max(path.stat().st_size for path in folder.iterdir() if path.is_file())


class Room:
    """A results folder on a disk of its own that is nearly full, for the faults that want one."""

    def __init__(self, out: Path, fault: Fault, laboratory: Laboratory) -> None:
        self._out, self._mounted = out, False
        self._wanted = fault.kind.startswith("disk-full")
        documents = sum(path.stat().st_size for path in laboratory.reference.iterdir() if path.is_file())
        built = sum(p.stat().st_size for p in laboratory.reference.rglob("build/**/*") if p.is_file())
        most = documents + built if fault.kind in BUILDING else documents
        self._bytes = 40_000 + int(fault.when * most)

    def shrink(self) -> None:
        if not self._wanted:
            return
        kept = {path.name: path.read_bytes() for path in self._out.iterdir()}
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self._bytes}", "none", self._out], check=True)
        self._mounted = True
        for name, content in kept.items():
            if len(content) < self._bytes - 8192:
                (self._out / name).write_bytes(content)

    def grow(self) -> None:
        if self._mounted:
            subprocess.run(["mount", "-o", "remount,size=256m", self._out], check=True)

    def close(self) -> None:
        if self._mounted:
            subprocess.run(["umount", "--lazy", self._out], check=False)


def no_limit() -> bool:
    """Whether files may be as large as they like now: else the reference would be struck too."""
    return resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
