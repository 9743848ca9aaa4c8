"""trainer.c as a person reads it, and what a generator must refuse."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from small_networks import full, sparse, tiny_backbone, training_module

from engine.codegen.emitter import CEmitter, check_identifiers
from engine.codegen.interface import SourceFacts
from engine.codegen.source import describe, trainer_source
from engine.compiler import CompileOptions, compile_trainer, plan_module
from engine.errors import CodegenError
from engine.frontends.backbone import Backbone
from engine.graph import Module
from engine.schemes import Scheme

GOLDEN = Path(__file__).parents[1] / "golden"
FACTS = SourceFacts("network", "scheme", "description", "digest", "table", 16, 1)


GOLDEN_OPTIONS = {
    "f32": CompileOptions(classes=3, rounding="extended", gradient="f32"),
    "i16": CompileOptions(classes=3, gradient="i16"),
}


@pytest.mark.parametrize("name", ["trainer.c", "constants.c", "constants.h", "graph.txt"])
@pytest.mark.parametrize("gradient", GOLDEN_OPTIONS)
def test_golden(tmp_path: Path, name: str, gradient: str) -> None:
    """The tiny network's files, whole: read the difference. UPDATE_GOLDEN=1 writes what is generated now."""
    scheme = Scheme("sparse", "half of the weights of two layers", 2, ((1, 0.5), (2, 0.5)))
    compile_trainer(tiny_backbone(), scheme, GOLDEN_OPTIONS[gradient], tmp_path / "trainer")
    generated = (tmp_path / "trainer" / name).read_text("utf-8")
    golden = GOLDEN / gradient / name
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(generated, "utf-8")
    assert generated == golden.read_text("utf-8"), "set UPDATE_GOLDEN=1 to accept the difference"


def source_of(module: Module, offsets: dict[str, int]) -> str:
    return trainer_source(module, CEmitter(module.graph, offsets), FACTS)


def test_a_forward_operator_after_the_loss_is_refused(backbone: Backbone) -> None:
    module = training_module(backbone, full(backbone))
    _, offsets, _ = plan_module(module, "as emitted")
    graph = module.graph
    first = next(index for index, op in enumerate(graph.operators) if op.name == "classifier")
    order = [i for i in range(len(graph.operators)) if i != first]
    order.insert(first + 1, first)
    late = module.with_graph(graph.reordered(order))
    with pytest.raises(CodegenError, match=r"operator classifier of the forward pass is scheduled after"):
        source_of(late, offsets)


def test_an_operator_that_must_work_in_place_is_refused_anywhere_else(backbone: Backbone) -> None:
    module = training_module(backbone, full(backbone))
    _, offsets, _ = plan_module(module, "as emitted")
    moved = {**offsets, "stem.output.accumulator_gradient": offsets["image"]}
    with pytest.raises(CodegenError, match=r"operator stem.masked_scale works in place, but its gradient"):
        source_of(module, moved)


def test_names_that_are_one_in_c_are_refused(backbone: Backbone) -> None:
    graph = training_module(backbone, full(backbone)).graph
    check_identifiers(graph)
    twin = replace(graph.tensor("stem.bias"), name="stem-bias")
    with pytest.raises(
        CodegenError, match=r"tensors stem.bias and stem-bias would both be called stem_bias in C"
    ):
        check_identifiers(replace(graph, tensors=(*graph.tensors, twin)))


def test_operators_say_what_they_do(backbone: Backbone) -> None:
    graph = training_module(backbone, sparse(backbone)).graph
    said = {op.name: describe(graph, op) for op in graph.operators}
    assert said["stem"] == (
        "stem: conv2d i8 16x16x3 (scale 0.00784314, zero 0) -> i8 8x8x5 (scale 0.0156863, zero -128), "
        "3x3 stride 2, 8640 MACs; path general: kernel 3x3"
    )
    assert said["stem.weight_update"] == (
        "stem.weight_update: conv2d_update f32 8x8x5, i8 16x16x2 (scale 0.00784314, zero 0) -> i8 5x3x3x2, "
        "3x3 stride 2, 5760 MACs"
    )
    assert said["loss"] == "loss: softmax_cross_entropy f32 4 -> f32 scalar, f32 4"


def test_operators_of_integer_gradients_say_what_they_do(backbone: Backbone) -> None:
    """Their exponents go without saying."""
    graph = training_module(backbone, sparse(backbone), gradient="i16").graph
    said = {op.name: describe(graph, op) for op in graph.operators}
    assert said["pool.grad"] == "pool.grad: global_average_pool_grad_i16 f32 10 -> i16 1x1x10"
    assert said["stem.masked_scale"] == (
        "stem.masked_scale: masked_scale_i16 i16 8x8x5, bit 8x8x5 -> i16 8x8x5; path general: 5 channels"
    )


def test_state_that_is_one_byte_repeated_needs_no_copy_in_flash(tmp_path: Path) -> None:
    backbone = tiny_backbone()
    options = CompileOptions(classes=3, rounding="extended")
    compile_trainer(backbone, full(backbone), options, tmp_path / "trainer")
    source = (tmp_path / "trainer" / "trainer.c").read_text("utf-8")
    header = (tmp_path / "trainer" / "constants.h").read_text("utf-8")
    assert "memset(state.classifier_weight, 0, sizeof state.classifier_weight);" in source
    assert "memset(state.stem_weight_low, 128, sizeof state.stem_weight_low);" in source
    assert "memcpy(state.stem_weight, initial_stem_weight, sizeof state.stem_weight);" in source
    assert "initial_stem_weight[108];" in header
    assert "initial_stem_weight_low" not in header
