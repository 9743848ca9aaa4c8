"""Synthetic run documents that look real: 5 methods on 2 targets with 3 seeds, one failed, one not run.

Accuracies are built so that the answers are known: both sparse schemes beat last-layer, bias-only cannot be
told apart from it, and every accuracy is the same on both targets, because both compute the same bits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.results.document import (
    Accuracy,
    Digests,
    MemoryPlan,
    OperatorTicks,
    PlannedBuffer,
    PlannedOperator,
    Provenance,
    RunDocument,
    SchemeSummary,
    Sections,
    Sram,
    TickSeries,
)

SUITE = "people-detection"
SEEDS = (0, 1, 2)
TEST_IMAGES = 400
STEPS = 1_200
BUDGET = 320 * 1024


@dataclass(frozen=True)
class Method:
    accuracy: float
    extra: int
    depth: int
    """Convolutions, from the last, that the backward pass goes through."""
    weights: tuple[str, ...]
    keeps: int
    """Convolutions whose input is kept for a weight gradient."""


METHODS = {
    "full": Method(0.862, 1_434_010, 42, tuple(f"conv{i} r=1" for i in range(42)), 42),
    "last-layer": Method(0.838, 160, 0, (), 0),
    "bias-only:12": Method(0.842, 23_347, 12, (), 0),
    "sparse-49kb": Method(0.905, 50_995, 20, ("conv24 r=0.25", "conv27 r=0.5", "conv30 r=0.5"), 3),
    "sparse-99kb": Method(0.912, 102_195, 22, ("conv21 r=1", "conv24 r=1", "conv27 r=1", "conv30 r=1"), 6),
}
TARGETS = {"qemu-mps2-an500": ("QEMU MPS2 AN500", "Cortex-M7"), "host": ("This machine, native", "x86_64")}
FAILED = ("sparse-99kb", "host", 2)
FAILED_REASON = "DeviceGone: the host process ended with signal 9 while training step 812 of 1200"
NOT_RUN = ("full", "qemu-mps2-an500", 2)
NOT_RUN_REASON = "interrupted by the user before this run began"


def sha(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()


def documents() -> list[RunDocument]:
    """All thirty cells, shuffled as a folder would never guarantee order."""
    runs = [document(m, t, s) for m in METHODS for t in TARGETS for s in SEEDS]
    return [runs[i] for i in np.random.default_rng(3).permutation(len(runs))]


def document(method: str, target: str, seed: int, **changes: Any) -> RunDocument:
    """One run document; `changes` replace fields."""
    fields: dict[str, Any] = {
        "suite": SUITE,
        "target": target,
        "target_title": TARGETS[target][0],
        "core": TARGETS[target][1],
        "method": method,
        "seed": seed,
        "status": "done",
        "provenance": provenance(method, target, seed),
        "scheme": scheme(method),
    }
    if (method, target, seed) == FAILED:
        fields |= {"status": "failed", "reason": FAILED_REASON}
    elif (method, target, seed) == NOT_RUN:
        fields |= {"status": "not-run", "reason": NOT_RUN_REASON}
    else:
        fields |= figures(method, target, seed)
    return RunDocument(**(fields | changes))


def figures(method: str, target: str, seed: int) -> dict[str, Any]:
    emulated = target != "host"
    memory = plan(method)
    step = 61_000_000 + METHODS[method].depth * 2_100_000
    kind = "simulated" if emulated else "measured"
    unit = "instructions" if emulated else "nanoseconds"
    random = np.random.default_rng([seed, step])
    jitter = (lambda: 0) if emulated else (lambda: int(random.integers(0, 900_000)))
    return {
        "plan": memory,
        "sections": Sections(text=41_880, rodata=596_204, data=1_204, bss=memory.arena_bytes, flash=639_288),
        "sram": sram(method, target, memory.arena_bytes, kind),
        "step_ticks": TickSeries(unit=unit, kind=kind, values=tuple(step + jitter() for _ in range(30))),
        "predict_ticks": TickSeries(
            unit=unit, kind=kind, values=tuple(60_204_113 + jitter() for _ in range(30))
        ),
        "operator_ticks": operator_ticks(memory) if emulated else (),
        "digests": tuple(Digests(steps=n, state=sha(method, seed, n)) for n in (30, STEPS)),
        "accuracy": None if (method, "host", seed) == FAILED else accuracy(method, seed),
    }


def sram(method: str, target: str, arena: int, kind: str) -> Sram:
    static, state, stack = 2_316, 4_096 + METHODS[method].extra // 3, 1_848
    peak = static + state + arena + stack
    budget = {"budget_part": "STM32F746", "budget_bytes": BUDGET, "lacking_bytes": max(0, peak - BUDGET)}
    return Sram(
        kind=kind,
        peak=peak,
        static=static,
        state=state,
        arena=arena,
        arena_touched=arena - 64,
        stack=stack,
        agent=5_120,
        untouched_outside=True,
        **(budget if target != "host" else {}),
    )


def accuracy(method: str, seed: int, target: str = "host") -> Accuracy:
    """Image difficulty is shared by all methods and seeds, which is what makes pairing worth while."""
    shared, own = np.random.default_rng(7), np.random.default_rng([seed, *method.encode()])
    labels = shared.integers(0, 2, TEST_IMAGES)
    difficulty = shared.random(TEST_IMAGES)
    right = difficulty + own.normal(0, 0.01, TEST_IMAGES) < METHODS[method].accuracy
    guess = shared.random(TEST_IMAGES) < 0.51
    steps = np.arange(1, STEPS + 1)
    fitted = 1 - METHODS[method].accuracy
    losses = (0.69 - fitted) * np.exp(-steps / 250) + fitted + own.gamma(1.2, 0.12, STEPS) - 0.14
    curve = [
        (int(n), float(0.51 + (right.mean() - 0.51) * (1 - np.exp(-n / 220)))) for n in range(0, STEPS, 200)
    ]
    return Accuracy(
        test_labels=tuple(map(int, labels)),
        predicted_before=tuple(map(int, np.where(guess, labels, 1 - labels))),
        predicted_after=tuple(map(int, np.where(right, labels, 1 - labels))),
        classes=("no person", "person"),
        train_images=546,
        epochs=2,
        losses=tuple(map(float, np.maximum(losses, 0.01))),
        curve=(*curve, (STEPS, float(right.mean()))),
        computed_on=target,
    )


def scheme(method: str) -> SchemeSummary:
    described = METHODS[method]
    return SchemeSummary(
        method=method,
        description=f"{method}: {len(described.weights)} weight layers",
        updated_bias_layers=described.depth,
        updated_weight_layers=described.weights,
        trainable_values=322 + described.extra // 8,
        rounding="stochastic",
        learning_rate=0.001,
        extra_memory_analytic=described.extra,
    )


def provenance(method: str, target: str, seed: int) -> Provenance:
    native = target == "host"
    return Provenance(
        started_at=f"2025-03-04T0{seed + 1}:12:{len(method):02d}Z",
        duration_seconds=38.2 + 11 * seed,
        trainbench_version="0.1.0",
        git_revision="9d3fa41c2b7e5d60718f29a4c6be03d15f7a8e92",
        git_dirty=False,
        host="Linux-6.1 x86_64, 2 cores",
        python="3.11.2",
        toolchain="gcc 12.2.0" if native else "arm-none-eabi-gcc 12.2.1",
        compiler_flags=("-O2", "-ffp-contract=off") if native else ("-O2", "-mcpu=cortex-m7", "-mthumb"),
        versions={"numpy": "2.4.6", **({} if native else {"qemu": "7.2.22", "pyocd": "0.46.0"})},
        model_name="mcunet-5fps",
        model_digest=sha("model"),
        dataset_name="lfw",
        dataset_description="Synthetic: stands for face and non-face crops, upscaled to 128×128",
        dataset_digest=sha("dataset"),
        elf_digest=sha("elf", method, target),
        plan_digest=sha("plan", method),
    )


def plan(method: str) -> MemoryPlan:
    """First fit over 42 convolutions of MCUNet's proportions, then what the method needs backward."""
    spans = _spans(METHODS[method])
    buffers: list[PlannedBuffer] = []
    for name, size, first, last, what in sorted(spans, key=lambda span: -span[1]):
        taken = sorted((b.offset, b.offset + b.size) for b in buffers if b.first < last and first < b.last)
        offset = 0
        for low, high in taken:
            if offset + size <= low:
                break
            offset = max(offset, high)
        buffers.append(PlannedBuffer(name=name, offset=offset, size=size, first=first, last=last, what=what))
    count = max(b.last for b in buffers)
    live = [sum(b.size for b in buffers if b.first <= i < b.last) for i in range(count)]
    arena = max(b.offset + b.size for b in buffers)
    operators = tuple(_operator(METHODS[method], i, live[i]) for i in range(count))
    return MemoryPlan(
        arena_bytes=arena,
        lower_bound=max(live),
        gap_bytes=arena - max(live),
        order="by size, descending",
        buffers=tuple(sorted(buffers, key=lambda b: (b.first, b.offset))),
        operators=operators,
    )


def _activation(conv: int) -> int:
    side = 64 if conv < 6 else 32 if conv < 14 else 16 if conv < 26 else 8 if conv < 36 else 4
    return side * side * (16 if conv < 6 else 24 if conv < 14 else 40 if conv < 26 else 96)


def _spans(method: Method) -> list[tuple[str, int, int, int, Any]]:
    """(name, bytes, first, last, what) of every buffer."""
    end = 42 + 2 * max(1, method.depth)
    spans: list[tuple[str, int, int, int, Any]] = [("image", 128 * 128 * 3, 0, 1, "input")]
    for conv in range(42):
        kept = conv >= 42 - method.depth and (conv - 42 + method.depth) < method.keeps
        backward = 42 + 2 * (41 - conv)
        spans.append((f"conv{conv}.y", _activation(conv), conv, backward if kept else conv + 2, "activation"))
        if conv >= 42 - method.depth:
            spans.append((f"conv{conv}.mask", _activation(conv) // 8, conv, backward + 1, "mask"))
            spans.append(
                (f"conv{conv}.dy", 4 * _activation(conv), backward, min(end, backward + 3), "gradient")
            )
        if conv % 3 == 0:
            spans.append((f"conv{conv}.columns", 2_048, conv, conv + 1, "scratch"))
    return spans


def _operator(method: Method, index: int, live: int) -> PlannedOperator:
    if index <= 42:
        layer, phase, kind = f"conv{index}", "forward", "depthwise" if index % 3 == 1 else "pointwise"
    else:
        layer = f"conv{41 - (index - 42) // 2}"
        phase, kind = ("update", "sgd") if index % 2 else ("backward", "input_gradient")
    return PlannedOperator(
        name=f"{phase}.{layer}",
        kind=kind,
        phase=phase,
        layer=layer,
        macs=_activation(min(index, 41)) * 24,
        live_bytes=live,
    )


def operator_ticks(memory: MemoryPlan) -> tuple[OperatorTicks, ...]:
    return tuple(
        OperatorTicks(operator=operator.name, ticks=int(operator.macs * 2.1 + 4_000))
        for operator in memory.operators
    )


def hostile(run: RunDocument, payload: str, spare: str = "") -> RunDocument:
    """`run` with `payload` at the end of every string that is free text, but for fields named `spare`."""
    fields = run.model_dump()
    closed = {
        *("status", "failure", "kind", "unit", "phase", "what"),
        *("rounding", "gradient", "rule", "precision"),
    }

    def poison(value: Any, key: str, inside: str) -> Any:
        if isinstance(value, dict):
            return {name: poison(item, name, key) for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [poison(item, key, inside) for item in value]
        of_operator = key == "kind" and inside == "operators"
        if not isinstance(value, str) or key == spare or (key in closed and not of_operator):
            return value
        return value + payload

    return RunDocument.model_validate(poison(fields, "", ""))
