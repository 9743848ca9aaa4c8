"""Groups of channels: what they keep, and that the C gives the same bits however the backward pass is cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from arena_interpreter import assert_arena_gives_the_same
from small_networks import (
    CLASSES,
    all_groups,
    full,
    image,
    schemes,
    sparse_wide,
    training_module,
    wide_backbone,
)
from trainer_builds import CTrainer, KernelObjects

from engine import compiler
from engine.autodiff import GRADIENTS
from engine.channel_groups import channels_of, work_out
from engine.compiler import CompileOptions, compile_trainer
from engine.errors import PlanError
from engine.frontends.backbone import Backbone
from engine.interpreter import Interpreter
from engine.lowering import IMAGE, LOGITS, LOSS
from engine.schemes import Scheme

PATHS = {"plain": ("-O2",), "dsp": ("-O2", "-DTB_DSP=1"), "native": ("-O2", "-march=native")}


@pytest.fixture(scope="module")
def wide() -> Backbone:
    return wide_backbone()


def assert_same_bits(
    backbone: Backbone,
    scheme: Scheme,
    options: CompileOptions,
    objects: KernelObjects,
    command: tuple[str, ...],
    folder: Path,
) -> set[str]:
    """Returns the names of the tensors that training moved."""
    compiled = compile_trainer(backbone, scheme, options, folder / "trainer")
    library = objects.link(("gcc", *command), compiled.folder, folder / "trainer.so")
    c = CTrainer(library, compiled.graph.tensor(IMAGE).bytes, CLASSES)
    interpreter = Interpreter(compiled.module, images_per_update=options.accumulate)
    interpreter.reset(3)
    interpreter.learning_rate = 0.3
    c.reset(3, 0.3)
    start = c.state()
    for step in range(3 * options.accumulate):
        c.fill_arena(0xA5 if step % 2 else 0xFF)
        expected = interpreter.values(image(step), step % CLASSES)
        assert np.float32(c.train_step(image(step), step % CLASSES)) == expected[LOSS]
        assert c.logits().tobytes() == expected[LOGITS].tobytes()
        for name, data in c.state().items():
            assert data == interpreter.state[name].tobytes(), f"{name} after step {step}"
    return {name for name, data in c.state().items() if data != start[name]}


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("channels", "rounding", "accumulate"),
    [
        (8, "stochastic", 1),
        (16, "extended", 2),
        (24, "nearest", 1),
        (24, "stochastic", 2),
        (256, "stochastic", 1),
    ],
)
def test_c_by_groups_gives_the_bits_of_the_interpreter(
    wide: Backbone,
    kernel_objects: KernelObjects,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    channels: int,
    gradient: str,
    path: str,
    rounding: str,
    accumulate: int,
) -> None:
    monkeypatch.setattr(compiler, "choose_regions", lambda graph: all_groups(graph, channels))
    options = CompileOptions(CLASSES, rounding=rounding, accumulate=accumulate, gradient=gradient)
    scheme = sparse_wide(wide)
    moved = assert_same_bits(wide, scheme, options, kernel_objects, PATHS[path], tmp_path)
    trained = {
        f"{layer.name}.weight" for index, layer in enumerate(wide.layers) if index in dict(scheme.weights)
    }
    assert trained <= moved


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("biases", [2, 3, 5, 17])
def test_biases_by_groups(
    wide: Backbone,
    kernel_objects: KernelObjects,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gradient: str,
    biases: int,
) -> None:
    """The last region ends after each of the layers that it may end after."""
    monkeypatch.setattr(compiler, "choose_regions", lambda graph: all_groups(graph, 16))
    options = CompileOptions(CLASSES, gradient=gradient)
    scheme = Scheme("bias-only", "", biases, ())
    moved = assert_same_bits(wide, scheme, options, kernel_objects, PATHS["dsp"], tmp_path)
    assert len(moved) == biases + 2


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_a_chain_takes_all_between_projection_and_expansion(wide: Backbone, gradient: str) -> None:
    graph = training_module(wide, sparse_wide(wide), gradient=gradient).graph
    found = {
        graph.operators[region.first].layer[:7]: [
            op.name[8:] for op in graph.operators[region.first : region.last]
        ]
        for region in all_groups(graph, 8)
    }
    depthwise = [
        "depthwise.grad_input",
        "pointwise1.masked_scale",
        "pointwise1.bias_update",
        "pointwise1.grad_input",
    ]
    projection = ["pointwise2.grad_input", "depthwise.masked_scale", "depthwise.bias_update"]
    head = projection if gradient == "f32" else []
    assert found["block06"] == [*head, *depthwise, "pointwise1.weight_update"]
    assert found["block02"] == [*head, *depthwise]
    assert found["block05"] == depthwise  # the projection's update reads what the head would leave
    assert found["block01"] == [*head, *depthwise[:2], "pointwise1.weight_update"]


def test_trained_depthwise_weights_and_odd_channels_are_not_grouped(
    wide: Backbone, backbone: Backbone
) -> None:
    assert all_groups(training_module(wide, full(wide)).graph, 8) == ()
    for scheme in schemes(backbone).values():
        graph = training_module(backbone, scheme).graph
        channels = [channels_of(graph.operators[region.first]) for region in all_groups(graph, 8)]
        assert all(count % 8 == 0 for count in channels)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("channels", [8, 16, 24])
def test_groups_in_their_arena(wide: Backbone, gradient: str, channels: int) -> None:
    module = training_module(wide, sparse_wide(wide), gradient=gradient, rounding="stochastic")
    assert_arena_gives_the_same(module, regions=all_groups(module.graph, channels))


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_what_a_region_keeps(wide: Backbone, gradient: str) -> None:
    graph = training_module(wide, sparse_wide(wide), gradient=gradient).graph
    value_bytes = 4 if gradient == "f32" else 2
    for region in all_groups(graph, 8):
        small, large = work_out(graph, region), work_out(graph, replace(region, channels=256))
        assert large.groups == 1
        assert small.groups == channels_of(graph.operators[region.first]) // 8
        assert small.scratch_bytes <= large.scratch_bytes
        for one, whole in zip(small.buffers, large.buffers, strict=True):
            tensor = graph.tensor(one.tensors[0])
            assert one.bytes == 8 * tensor.shape[0] * tensor.shape[1] * value_bytes
            assert whole.bytes == tensor.bytes
        if small.sums is not None:
            name, size = small.sums
            assert size == 4 * graph.tensor(name).elements


@pytest.mark.parametrize("change", [{"channels": 4}, {"channels": 0}, {"last": 2}])
def test_a_region_that_is_none_is_refused(wide: Backbone, change: dict[str, int]) -> None:
    graph = training_module(wide, sparse_wide(wide)).graph
    region = all_groups(graph, 8)[0]
    with pytest.raises(PlanError, match="needs a chain of operators and a multiple of 8 channels"):
        work_out(graph, replace(region, **change))
