"""Runs on QEMU with a random fault each: no wrong figure, nothing left, all of it resumed, every cause named.

`python -m pytest tests/chaos --chaos-runs 200 --chaos-seed 1 -s`; see docs/robustness.md.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import chaos_oracle as oracle
import pytest
from chaos_driver import TARGET, Factory, Laboratory, Outcome, order, run_chaos
from chaos_faults import FOREMOST, KINDS, Fault, schedule, usable_kinds
from small_networks import small_backbone

from engine.frontends.npz_file import write_npz

HERE = Path(__file__).parent

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(
        shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
        reason="needs qemu-system-arm and arm-none-eabi-gcc",
    ),
]


def finish(factory: Factory, told: dict[str, object], errors: Path) -> float:
    """A run that has to succeed; the seconds that it took."""
    began = time.monotonic()
    factory.start(told)
    assert factory.ended(600) == 0, errors.read_text()
    return time.monotonic() - began


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A finished run without faults, its builds, and two other firmware files."""
    folder = tmp_path_factory.mktemp("chaos")
    tools = folder / "tools"
    tools.mkdir()
    stand_in = tools / "qemu-system-arm"
    stand_in.write_text(f"#!{sys.executable} -SE\n" + (HERE / "chaos_emulator.py").read_text())
    stand_in.chmod(0o755)
    swaps: dict[str, Path] = {}
    emulator = shutil.which("qemu-system-arm")
    assert emulator is not None
    factory = Factory()
    made: list[Laboratory] = []
    try:
        for name, seed, method in (
            ("wrong-elf-weights", 1, "last:3"),
            ("wrong-elf-method", 0, "last:2"),
            ("right", 0, "last:3"),
        ):
            backbone = folder / f"{name}.npz"
            write_npz(small_backbone(seed), backbone)
            out = folder / name / "out"
            out.mkdir(parents=True)
            each = Laboratory(folder, backbone, out, folder / "builds.pickle", swaps, tools, emulator)
            told = order(each, out, name, builds=None, save=str(each.builds))
            words = [method if word == "last:3" else word for word in told["argv"]]  # type: ignore[attr-defined]
            seconds = finish(factory, {**told, "argv": words}, out.parent / "stderr.txt")
            (swaps[name],) = out.glob(f"build/*/{TARGET}/firmware.elf")
            made.append(replace(each, building_seconds=seconds))
        again = folder / "again" / "out"
        again.mkdir(parents=True)
        seconds = finish(factory, order(made[-1], again, "again"), again.parent / "stderr.txt")
        first, second = oracle.stored(made[-1].reference)[0], oracle.stored(again)[0]
        assert oracle.wrong_figures(second, first, whole=True) == []
        assert set(first) == set(second)
    finally:
        factory.close()
    yield replace(made[-1], seconds=seconds)


def run_all(laboratory: Laboratory, faults: Sequence[Fault], slots: int, seconds: float) -> list[Outcome]:
    """The runs, `slots` at a time; none begins after `seconds` (0: all do)."""
    reference, _ = oracle.stored(laboratory.reference)
    waiting = list(enumerate(faults))
    outcomes: list[Outcome] = []
    crashed: list[BaseException] = []
    lock, began = threading.Lock(), time.monotonic()

    def work() -> None:
        factory = Factory()
        try:
            while not crashed:
                with lock:
                    if not waiting or (seconds and time.monotonic() - began > seconds):
                        return
                    number, fault = waiting.pop(0)
                outcome = run_chaos(factory, laboratory, number, fault, reference)
                if any("did not end" in text for text in outcome.broken):
                    factory = Factory()
                with lock:
                    outcomes.append(outcome)
                    say_outcome(outcome, len(outcomes), len(faults))
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread
            crashed.append(error)
        finally:
            factory.close()

    threads = [threading.Thread(target=work) for _ in range(min(slots, len(faults)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if crashed:
        raise crashed[0]
    return sorted(outcomes, key=lambda outcome: outcome.number)


def say_outcome(outcome: Outcome, done: int, total: int) -> None:
    what = "complete" if outcome.complete else "resumed" if outcome.resumed else "not resumed"
    words = [*(f"BROKEN {text}" for text in outcome.broken), *outcome.causes]
    sys.stdout.write(
        f"{done}/{total} run {outcome.number}: {outcome.fault.as_text()}: exit {outcome.code}, {what},"
        f" {outcome.seconds:.0f} s {' | '.join(words)}\n"
    )
    sys.stdout.flush()


def table(outcomes: Sequence[Outcome]) -> str:
    """Counts by fault."""
    columns = ("runs", "complete", "bad line told", "cause named", "ended from outside", "resumed", "broken")
    rows: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        row = rows.setdefault(outcome.fault.kind, Counter())
        row["runs"] += 1
        row["complete"] += outcome.complete
        row["bad line told"] += outcome.troubled
        row["cause named"] += bool(outcome.causes)
        row["ended from outside"] += outcome.code in (-9, -15, 143)
        row["resumed"] += outcome.resumed
        row["broken"] += bool(outcome.broken)
    rows["all"] = sum(rows.values(), Counter())
    lines = [f"{'fault':24}" + "".join(f"{column:>20}" for column in columns)]
    lines += [f"{kind:24}" + "".join(f"{row[column]:20}" for column in columns) for kind, row in rows.items()]
    return "\n".join(lines)


def test_every_fault_is_survived(
    laboratory: Laboratory, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    option = request.config.getoption
    kinds = tuple(option("chaos_kind", default=[])) or usable_kinds(os.geteuid() == 0)
    faults = schedule(option("chaos_runs", default=6), option("chaos_seed", default=1), kinds)
    outcomes = run_all(
        laboratory, faults, option("chaos_slots", default=3), option("chaos_seconds", default=0)
    )
    sys.stdout.write(f"\n{len(outcomes)} of {len(faults)} runs\n{table(outcomes)}\n")
    path = Path(option("chaos_json", default=None) or tmp_path / "chaos.json")
    path.write_text(json.dumps([outcome.row() for outcome in outcomes], indent=1))
    assert outcomes
    broken = {f"run {outcome.number}, {outcome.fault.as_text()}": outcome.broken for outcome in outcomes}
    assert {what: rules for what, rules in broken.items() if rules} == {}


def test_every_kind_of_fault_comes_up() -> None:
    assert {fault.kind for fault in schedule(len(FOREMOST), 5, tuple(KINDS))} == set(FOREMOST)
    assert {fault.kind for fault in schedule(len(KINDS), 3, tuple(KINDS))} == set(KINDS)
    assert schedule(50, 3, tuple(KINDS)) == schedule(50, 3, tuple(KINDS))
