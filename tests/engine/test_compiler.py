from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from small_networks import CLASSES, full, schemes, tiny_backbone

from engine.compiler import (
    CompiledTrainer,
    CompileOptions,
    MemoryPlan,
    build_module,
    compile_trainer,
    plan_module,
)
from engine.errors import CodegenError, NetworkFileError, PlanError
from engine.frontends.backbone import Backbone
from engine.graph import Role
from engine.liveness import peak_live_bytes
from engine.regions import choose_regions
from engine.schemes import extra_memory
from engine.text import parse_graph

FILES = ("trainer.c", "constants.c", "constants.h", "plan.json", "graph.txt")
COMPILE = """
import sys
from pathlib import Path
sys.path.insert(0, {helpers!r})
from small_networks import small_backbone, sparse
from engine.compiler import CompileOptions, compile_trainer
backbone = small_backbone()
compile_trainer(backbone, sparse(backbone), CompileOptions(classes=4, rounding="extended"), Path({folder!r}))
"""


@pytest.fixture(scope="module")
def compiled(backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> CompiledTrainer:
    options = CompileOptions(classes=CLASSES, rounding="extended", accumulate=2)
    return compile_trainer(
        backbone, schemes(backbone)["sparse"], options, tmp_path_factory.mktemp("compiled") / "trainer"
    )


def test_the_order_of_sets_does_not_matter(tmp_path: Path) -> None:
    """The same bytes under two seeds of Python's string hashing."""
    written = []
    for seed in ("1", "4242"):
        folder = tmp_path / seed
        code = COMPILE.format(helpers=str(Path(__file__).parent), folder=str(folder))
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert set(FILES) <= set(written[0])
    assert written[0] == written[1]


def test_the_plan_digest_is_that_of_the_plan_file(compiled: CompiledTrainer) -> None:
    digest = hashlib.sha256((compiled.folder / "plan.json").read_bytes()).hexdigest()
    assert compiled.plan_digest == digest
    assert f'.plan_digest = "{digest}"' in (compiled.folder / "trainer.c").read_text("utf-8")


def test_the_plan_file_names_the_graph_and_the_network(compiled: CompiledTrainer, backbone: Backbone) -> None:
    plan = json.loads((compiled.folder / "plan.json").read_text("utf-8"))
    graph = (compiled.folder / "graph.txt").read_bytes()
    assert plan["graph_digest"] == hashlib.sha256(graph).hexdigest()
    assert plan["model_digest"] == backbone.digest
    assert plan["options"] == asdict(compiled.options)
    assert plan["scheme"]["weights"] == [list(pair) for pair in compiled.scheme.weights]
    assert plan["plan"]["arena_bytes"] == compiled.arena_bytes


def test_the_graph_file_is_the_graph(compiled: CompiledTrainer) -> None:
    assert parse_graph((compiled.folder / "graph.txt").read_text("utf-8")) == compiled.graph


@pytest.mark.parametrize("change", [{"qas": False}, {"gradient": "f32"}], ids=str)
def test_other_options_give_another_digest(
    compiled: CompiledTrainer, backbone: Backbone, tmp_path: Path, change: dict[str, object]
) -> None:
    options = replace(compiled.options, **change)  # type: ignore[arg-type]
    other = compile_trainer(backbone, compiled.scheme, options, tmp_path / "trainer")
    assert other.plan_digest != compiled.plan_digest


def test_files_name_the_gradient_format(backbone: Backbone, tmp_path: Path) -> None:
    for gradient, kind in (("f32", "conv2d_grad_input"), ("i16", "conv2d_grad_input_i16")):
        folder = tmp_path / gradient
        options = CompileOptions(classes=CLASSES, gradient=gradient)
        compiled = compile_trainer(backbone, full(backbone), options, folder)
        plan = json.loads((folder / "plan.json").read_text("utf-8"))
        assert plan["options"]["gradient"] == gradient
        assert kind in {op["kind"] for op in plan["plan"]["operators"]}
        assert f" {kind} " in (folder / "graph.txt").read_text("utf-8")
        gradients = {b.what for b in compiled.plan.buffers if b.name.endswith(".gradient_from_pool")}
        assert gradients == {"gradient"}


def test_what_is_said_of_the_trainer(compiled: CompiledTrainer, backbone: Backbone) -> None:
    state = list(compiled.graph.with_role(Role.STATE))
    trained = sum(t.elements for t in state if not t.name.endswith((".low", ".accumulator")))
    assert compiled.trainable_values == trained
    assert compiled.state_bytes == -(-sum(tensor.bytes for tensor in state) // 4) * 4
    assert compiled.updated_bias_layers == 12
    assert len(compiled.updated_weight_layers) == 8
    assert compiled.extra_memory_analytic == extra_memory(compiled.scheme, backbone)
    source = (compiled.folder / "trainer.c").read_text("utf-8")
    assert f"#define ARENA_BYTES {compiled.arena_bytes}u" in source
    assert f".state_bytes = {compiled.state_bytes}u" in source


def test_the_plan_as_data(compiled: CompiledTrainer) -> None:
    plan: MemoryPlan = compiled.plan
    assert plan.arena_bytes - plan.lower_bound == plan.gap_bytes >= 0
    assert plan.arena_bytes == max(buffer.offset + buffer.size + -buffer.size % 4 for buffer in plan.buffers)
    assert len(plan.operators) == len(compiled.graph.operators)
    assert [op.name for op in plan.operators] == [op.name for op in compiled.graph.operators]
    regions = choose_regions(compiled.graph)
    assert max(op.live_bytes for op in plan.operators) == peak_live_bytes(compiled.graph, regions)
    for index, op in enumerate(plan.operators):
        assert op.live_bytes == sum(b.size for b in plan.buffers if b.first <= index < b.last)


def test_macs_of_a_step_are_those_of_the_layers(backbone: Backbone, tmp_path: Path) -> None:
    """Each convolution once forward, once for the gradient of its input, once for that of its weights."""
    compiled = compile_trainer(
        backbone, full(backbone), CompileOptions(classes=CLASSES), tmp_path / "trainer"
    )
    macs = {"forward": 0, "backward": 0, "update": 0}
    for op in compiled.plan.operators:
        macs[op.phase] += op.macs
    dense = {layer.name: layer.out_size**2 * layer.weight.size for layer in backbone.layers}
    classifier = 10 * CLASSES
    assert macs["forward"] == sum(dense.values()) + classifier
    assert macs["backward"] == sum(dense.values()) - dense["stem"] + classifier
    assert macs["update"] == sum(dense.values()) + classifier


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (CompileOptions(classes=1), "1 classes; a classifier needs 2 to 4096"),
        (CompileOptions(classes=4097), "4097 classes"),
        (CompileOptions(classes=2, rounding="up"), "rounding 'up'; known are nearest, stochastic, extended"),
        (CompileOptions(classes=2, gradient="f16"), "gradient 'f16'; known are f32, i16"),
        (CompileOptions(classes=2, accumulate=0), "accumulation over 0 images; 1 to 65535 are possible"),
        (CompileOptions(classes=2, accumulate=65536), "accumulation over 65536 images"),
        (
            CompileOptions(classes=2, convolution_rate=0.0),
            "convolutions at 0.0 times the learning rate; 1e-12 to",
        ),
        (
            CompileOptions(classes=2, convolution_rate=2e12),
            "convolutions at 2000000000000.0 times the learning rate",
        ),
        (CompileOptions(classes=2, convolution_rate=float("nan")), "convolutions at nan times"),
    ],
)
def test_options_out_of_range_are_refused(
    backbone: Backbone, tmp_path: Path, options: CompileOptions, message: str
) -> None:
    with pytest.raises(CodegenError, match=message):
        compile_trainer(backbone, full(backbone), options, tmp_path / "trainer")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_lowered_leaves_nothing_behind(tmp_path: Path) -> None:
    backbone = tiny_backbone()
    stem = replace(backbone.stem, bias=backbone.stem.bias + 2**30)
    with pytest.raises(NetworkFileError, match="layer stem: its largest bias"):
        compile_trainer(
            replace(backbone, stem=stem), full(backbone), CompileOptions(classes=2), tmp_path / "trainer"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_cannot_stand_in_a_plan_is_refused(tmp_path: Path) -> None:
    backbone = tiny_backbone()
    stem = replace(backbone.stem, name="*/ evil")
    with pytest.raises(Exception, match=r"tensor '\*/ evil.weight': a name consists of ASCII letters"):
        compile_trainer(
            replace(backbone, stem=stem), full(backbone), CompileOptions(classes=2), tmp_path / "trainer"
        )


def test_an_arena_beyond_32_bits_is_refused(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    module, order = build_module(backbone, full(backbone), CompileOptions(classes=2))
    monkeypatch.setattr("engine.memory_plan.LARGEST_ARENA", 1000)
    with pytest.raises(
        PlanError, match=r"the arena of small would need \d+ bytes; the kernels count up to 1000"
    ):
        plan_module(module, order)
