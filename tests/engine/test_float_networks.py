"""float32 networks: the generated C gives the bits of the interpreter, and the plan holds."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from arena_interpreter import assert_arena_gives_the_same
from small_networks import (
    CLASSES,
    full,
    image,
    photographs,
    schemes,
    shared_backbone,
    small_backbone,
    training_module,
    wide_backbone,
)
from test_bit_exact import built, unmoved
from trainer_builds import KernelObjects

from engine.compiler import CompileOptions, compile_trainer, effective_options
from engine.frontends.backbone import Backbone
from engine.graph import DType, Phase, Role
from engine.interpreter import LARGEST_LEARNING_RATE, Interpreter
from engine.lowering import IMAGE
from engine.operators import kind_of
from engine.schemes import extra_memory, load_scheme
from engine.update_rules import RULES
from fixtures.schemes import LIBRARY

COMMANDS = {
    "gcc -O0": ("gcc", "-O0"),
    "gcc -O3 -march=native": ("gcc", "-O3", "-march=native"),
    "clang -O2": ("clang", "-O2"),
    "clang -O3 -march=native": ("clang", "-O3", "-march=native"),
    "gcc sanitizers": ("gcc", "-O1", "-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all"),
}
GCC = ("gcc", "-O2")
CLANG = COMMANDS["clang -O3 -march=native"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("scheme_name", "accumulate"), [*product(("full", "sparse", "bias-only", "last-layer"), (1, 3))]
)
def test_small_network(
    backbone: Backbone,
    kernel_objects: KernelObjects,
    tmp_path: Path,
    scheme_name: str,
    accumulate: int,
    rule: str,
) -> None:
    scheme = schemes(backbone)[scheme_name]
    options = {"precision": "fp32", "accumulate": accumulate, "rule": rule}
    compiled, c = built(backbone, scheme, kernel_objects, tmp_path, GCC, **options)
    assert unmoved(compiled, c, [image(seed) for seed in range(4 * accumulate)]) == []


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("scheme_name", ["full", "sparse"])
def test_every_compiler(
    backbone: Backbone,
    kernel_objects: KernelObjects,
    tmp_path: Path,
    command: tuple[str, ...],
    scheme_name: str,
) -> None:
    scheme = schemes(backbone)[scheme_name]
    compiled, c = built(backbone, scheme, kernel_objects, tmp_path, command, precision="fp32")
    assert unmoved(compiled, c, [image(seed) for seed in range(20)]) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_other_weights(kernel_objects: KernelObjects, tmp_path: Path, seed: int) -> None:
    for place, backbone in enumerate((small_backbone(seed), wide_backbone(seed))):
        folder = tmp_path / str(place)
        compiled, c = built(backbone, full(backbone), kernel_objects, folder, CLANG, precision="fp32")
        assert unmoved(compiled, c, [image(10 * seed + step) for step in range(4)]) == []


@pytest.mark.parametrize("rule", RULES)
def test_extreme_learning_rates(
    backbone: Backbone, kernel_objects: KernelObjects, tmp_path: Path, rule: str
) -> None:
    """Everything saturates alike, and nothing becomes infinite or not a number."""
    scheme = schemes(backbone)["full"]
    options = {"precision": "fp32", "rule": rule, "convolution_rate": 1e12}
    compiled, c = built(backbone, scheme, kernel_objects, tmp_path, GCC, **options)
    for learning_rate in (LARGEST_LEARNING_RATE, -LARGEST_LEARNING_RATE, 1e4, 1e-38):
        unmoved(compiled, c, [image(seed) for seed in range(6)], learning_rate)
        for name, data in c.state().items():
            assert np.isfinite(np.frombuffer(data, np.float32)).all(), name


def test_another_rate_of_convolutions(
    backbone: Backbone, kernel_objects: KernelObjects, tmp_path: Path
) -> None:
    scheme = schemes(backbone)["sparse"]
    moved = []
    for place, rate in enumerate((1.0, 0.5)):
        options = {"precision": "fp32", "convolution_rate": rate}
        compiled, c = built(backbone, scheme, kernel_objects, tmp_path / str(place), GCC, **options)
        assert unmoved(compiled, c, [image(0), image(1)]) == []
        c.reset(0, 0.25)
        start = {name: np.frombuffer(data, np.float32) for name, data in c.state().items()}
        for step in range(2):
            c.train_step(image(step), step)
        after = c.state()
        moved.append({name: np.frombuffer(after[name], np.float32) - start[name] for name in start})
    ratio = np.linalg.norm(moved[1]["block07.pointwise1.weight"]) / np.linalg.norm(
        moved[0]["block07.pointwise1.weight"]
    )
    assert 0.4 < ratio < 0.6


@pytest.mark.parametrize("scheme_name", ["full", "sparse", "bias-only", "last-layer"])
def test_the_plan_holds(backbone: Backbone, scheme_name: str) -> None:
    """Every tensor at its planned place in one arena gives the same."""
    assert_arena_gives_the_same(training_module(backbone, schemes(backbone)[scheme_name], precision="fp32"))


def test_nothing_is_computed_for_frozen_layers(backbone: Backbone) -> None:
    """Gradients end at the first layer that is trained, and frozen layers have none of their weights."""
    module = training_module(backbone, schemes(backbone)["sparse"], precision="fp32")
    weights = {op.layer for op in module.graph.operators if op.kind.endswith("_grad_weight")}
    trained = {tensor.name for tensor in module.graph.with_role(Role.STATE)}
    assert weights == {name.removesuffix(".weight") for name in trained if name.endswith(".weight")} - {
        "classifier"
    }
    only = training_module(backbone, schemes(backbone)["last-layer"], precision="fp32")
    assert {op.layer for op in only.graph.operators if op.phase is not Phase.FORWARD} == {
        "loss",
        "classifier",
    }
    assert not any(tensor.dtype is DType.BIT for tensor in only.graph.tensors)


def test_what_quantization_needs_is_not_asked_for(backbone: Backbone, tmp_path: Path) -> None:
    options = CompileOptions(classes=CLASSES, precision="fp32", rounding="extended", gradient="i16")
    compiled = compile_trainer(backbone, schemes(backbone)["full"], options, tmp_path / "trainer")
    assert compiled.options == effective_options(options)
    effective = compiled.options
    assert (effective.gradient, effective.rounding, effective.qas) == ("f32", "nearest", False)
    arena = [tensor for tensor in compiled.graph.tensors if tensor.in_arena and tensor.name != IMAGE]
    assert {tensor.dtype for tensor in arena} == {DType.FLOAT32, DType.BIT}
    assert compiled.plan.gap_bytes == compiled.arena_bytes - compiled.plan.lower_bound
    assert compiled.plan.regions == ()
    assert compiled.extra_memory_analytic == extra_memory(compiled.scheme, backbone, 32)
    int8 = CompileOptions(classes=CLASSES)
    assert effective_options(int8) is int8


def test_macs_are_those_of_the_quantized_network(backbone: Backbone) -> None:
    def macs(precision: str, phase: Phase) -> int:
        graph = training_module(backbone, schemes(backbone)["sparse"], precision=precision).graph
        return sum(kind_of(op).macs(op, graph) for op in graph.operators if op.phase is phase)

    for phase in Phase:
        assert macs("fp32", phase) == macs("int8", phase), phase


@pytest.mark.parametrize("network", ["mcunet-5fps", "mbv2-w0.35", "proxyless-w0.3"])
def test_published_networks(kernel_objects: KernelObjects, tmp_path: Path, network: str) -> None:
    backbone = shared_backbone(network)
    scheme = load_scheme("sparse-49kb", backbone, LIBRARY)
    options = {"classes": 10, "precision": "fp32"}
    compiled, c = built(backbone, scheme, kernel_objects, tmp_path, CLANG, **options)
    assert unmoved(compiled, c, photographs(2), 0.01) == []


def test_features_are_those_of_the_quantized_network() -> None:
    """The classifier reads nearly the same of both, so activation functions and scales are right."""
    backbone = shared_backbone("mcunet-5fps")
    scheme = schemes(backbone)["last-layer"]
    pictures = photographs(4)
    found = [
        [
            Interpreter(training_module(backbone, scheme, precision=precision)).values(x, 0)["features"]
            for x in pictures
        ]
        for precision in ("int8", "fp32")
    ]
    for int8, fp32 in zip(*found, strict=True):
        assert np.corrcoef(int8, fp32)[0, 1] > 0.95
