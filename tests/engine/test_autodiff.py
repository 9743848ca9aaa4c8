"""Gradients of whole networks: right by finite differences, and there for exactly what a scheme updates."""

from __future__ import annotations

import numpy as np
import pytest
from real_loss import RealStep, directions
from small_networks import (
    DEAD_CHANNEL,
    DEAD_LAYER,
    full,
    image,
    schemes,
    sparse,
    training_module,
    with_classifier,
)

from engine.autodiff import GRADIENTS, differentiate
from engine.errors import GraphError
from engine.frontends.backbone import Backbone
from engine.graph import DType, Graph, Module, Phase, Role
from engine.interpreter import Interpreter
from engine.lowering import LOSS, lower
from engine.operators import kind_of
from engine.schemes import Scheme, layer_updates

F32 = DType.FLOAT32
TOLERANCE = 2e-6
"""Scales are float32 in the backward pass: 6e-8 a layer."""


@pytest.fixture(scope="module", params=GRADIENTS)
def full_step(backbone: Backbone, request: pytest.FixtureRequest) -> RealStep:
    """In real semantics an int16 gradient is the real one."""
    module = training_module(backbone, full(backbone), qas=False, gradient=request.param)
    return RealStep(module, image(3), 2)


def test_state_gradients_of_a_full_update(full_step: RealStep) -> None:
    assert len(full_step.state_gradients) == 2 * 22 + 2
    worst = {
        name: full_step.error(name, gradient, directions(gradient.shape, seed))
        for seed, (name, gradient) in enumerate(full_step.state_gradients.items())
        if not name.startswith(DEAD_LAYER)
    }
    assert {name: error for name, error in worst.items() if error > TOLERANCE} == {}


def test_no_state_gradient_is_zero_but_that_of_dead_channels(full_step: RealStep) -> None:
    assert [name for name, gradient in full_step.state_gradients.items() if not gradient.any()] == []
    for suffix in ("weight", "bias"):
        gradient = full_step.state_gradients[f"{DEAD_LAYER}.{suffix}"]
        assert not gradient[DEAD_CHANNEL].any()
        alive = np.delete(np.arange(len(gradient)), DEAD_CHANNEL)
        assert gradient[alive].any()


def test_state_gradients_of_a_layer_with_a_dead_channel(full_step: RealStep) -> None:
    for suffix in ("weight", "bias"):
        name = f"{DEAD_LAYER}.{suffix}"
        gradient = full_step.state_gradients[name]
        chosen = directions(gradient.shape, 1)
        for direction in chosen:
            direction[DEAD_CHANNEL] = 0.0
        assert full_step.error(name, gradient, [d for d in chosen if d.any()]) < TOLERANCE


def test_gradients_of_all_forward_values(full_step: RealStep) -> None:
    graph = full_step.module.graph
    values = [
        name
        for op in graph.operators
        if op.phase is Phase.FORWARD
        for role, name in op.outputs
        if role == "y" and name not in graph.outputs
    ]
    assert len(values) == 22 + 4 + 2
    worst = {
        name: full_step.error(name, full_step.value_gradient(name), directions(graph.tensor(name).shape, 7))
        for name in values
    }
    assert {name: error for name, error in worst.items() if error > TOLERANCE} == {}
    assert full_step.error("logits", full_step.values["logits.gradient"], directions((4,), 7)) < TOLERANCE


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_state_gradients_of_arbitrary_channels(backbone: Backbone, gradient: str) -> None:
    module = training_module(backbone, sparse(backbone), qas=False, gradient=gradient)
    step = RealStep(module, image(3), 2)
    split = [t.name for t in step.module.graph.with_role(Role.CONSTANT) if t.name.endswith(".channels")]
    assert len(split) == 6
    for seed, (name, gradient) in enumerate(step.state_gradients.items()):
        if not name.startswith(DEAD_LAYER):
            assert step.error(name, gradient, directions(gradient.shape, seed)) < TOLERANCE, name


def test_a_wrong_gradient_is_noticed(full_step: RealStep) -> None:
    gradient = full_step.state_gradients["stem.weight"].copy()
    gradient *= 1.001
    assert full_step.error("stem.weight", gradient, directions(gradient.shape, 0)) > 10 * TOLERANCE


def test_quantization_aware_scaling_is_equation_4(backbone: Backbone) -> None:
    """Gradients of weights times sw⁻², of biases times (sw·sx)⁻²; of the float32 classifier times 1."""
    scheme = full(backbone)
    plain = RealStep(training_module(backbone, scheme, qas=False), image(3), 2).state_gradients
    scaled = RealStep(training_module(backbone, scheme, qas=True), image(3), 2).state_gradients
    for layer in backbone.layers:
        sw, sx = layer.weight_scales.astype(np.float64), layer.input.scale
        bias, weight = f"{layer.name}.bias", f"{layer.name}.weight"
        axes = (slice(None), *[None] * (plain[weight].ndim - 1))
        assert np.allclose(scaled[weight], plain[weight] * (sw**-2)[axes], rtol=1e-6, atol=0), layer.name
        assert np.allclose(scaled[bias], plain[bias] * (sw * sx) ** -2, rtol=1e-6, atol=0), layer.name
    for name in ("classifier.weight", "classifier.bias"):
        assert np.allclose(scaled[name], plain[name], rtol=1e-12, atol=0)


def test_a_rate_of_convolutions_leaves_the_classifier_alone(backbone: Backbone) -> None:
    scheme = full(backbone)
    one, ten = (
        RealStep(training_module(backbone, scheme, convolution_rate=rate), image(3), 2).state_gradients
        for rate in (1.0, 10.0)
    )
    for name in one:
        factor = 1 if name.startswith("classifier") else 10
        assert np.allclose(ten[name], factor * one[name], rtol=1e-6, atol=0), name


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("scheme_name", ["full", "last-layer", "bias-only", "sparse"])
def test_exactly_what_the_scheme_updates_is_updated(
    backbone: Backbone, scheme_name: str, gradient: str
) -> None:
    scheme = schemes(backbone)[scheme_name]
    module = training_module(backbone, scheme, gradient=gradient)
    expected = {"classifier.weight", "classifier.bias"}
    for layer, update in zip(backbone.layers, layer_updates(scheme, backbone), strict=True):
        expected |= {f"{layer.name}.weight"} if update.channels else set()
        expected |= {f"{layer.name}.bias"} if update.bias else set()
    assert {tensor.name for tensor in module.graph.with_role(Role.STATE)} == expected
    assert _mutated(module) == expected


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("scheme_name", ["full", "last-layer", "bias-only", "sparse"])
def test_no_operator_goes_back_further_than_the_first_update(
    backbone: Backbone, scheme_name: str, gradient: str
) -> None:
    scheme = schemes(backbone)[scheme_name]
    updates = layer_updates(scheme, backbone)
    trained = [n for n, update in enumerate(updates) if update.bias or update.channels]
    first = min(trained, default=len(updates))
    operators = training_module(backbone, scheme, gradient=gradient).graph.operators
    layers = [layer.name for layer in backbone.layers]
    backward = {op.layer for op in operators if op.kind.startswith("masked_scale")}
    assert backward == set(layers[first:])
    inputs_wanted = {op.layer for op in operators if "conv2d_grad_input" in op.kind}
    assert inputs_wanted == set(layers[first + 1 :])
    classifier = [op.kind for op in operators if op.kind == "fully_connected_grad_input"]
    assert len(classifier) == (1 if trained else 0)


def test_a_sum_whose_skip_nothing_trains_gets_one_gradient(backbone: Backbone) -> None:
    """Block 7 alone is trained: the gradient of its residual sum's other operand would feed nothing."""
    count = len(backbone.layers)
    scheme = Scheme("s", "", 0, ((count - 1, 1.0),))
    for gradient, kind, roles in (
        ("f32", "add_grad", ["gb"]),
        ("i16", "add_grad_i16", ["dx", "dx_exponent"]),
    ):
        graph = training_module(backbone, scheme, gradient=gradient).graph
        (residual,) = [op for op in graph.operators if op.name.startswith("block07.residual.grad")]
        assert (residual.kind, [role for role, _ in residual.outputs]) == (kind, roles)


def test_masks_are_kept_only_where_a_gradient_passes(backbone: Backbone) -> None:
    graph = training_module(backbone, schemes(backbone)["bias-only"]).graph
    masked = {op.layer for op in graph.operators if op.find_output("mask")}
    read = {graph.operators[graph.producers()[name]].layer for name in _masks_read(graph)}
    assert masked == read
    assert len(masked) == 9 + 2


def _masks_read(graph: Graph) -> list[str]:
    return [op.input("mask") for op in graph.operators if op.find_input("mask")]


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_dead_channels_stay_frozen_in_integers(backbone: Backbone, gradient: str) -> None:
    for rounding in ("nearest", "stochastic", "extended"):
        module = training_module(backbone, full(backbone), rounding=rounding, gradient=gradient)
        interpreter = with_classifier(Interpreter(module))
        before = {name: data.copy() for name, data in interpreter.state.items()}
        interpreter.learning_rate = 0.05
        for step in range(3):
            interpreter.train_step(image(step), step)
        changed = interpreter.state
        for suffix in ("weight", "bias"):
            name = f"{DEAD_LAYER}.{suffix}"
            assert np.array_equal(changed[name][DEAD_CHANNEL], before[name][DEAD_CHANNEL])
            assert not np.array_equal(changed[name], before[name])


def test_accumulators_and_low_bytes_are_state_of_the_trained_tensors(backbone: Backbone) -> None:
    graph = training_module(backbone, sparse(backbone), rounding="extended", accumulate=2).graph
    state = {tensor.name: tensor for tensor in graph.with_role(Role.STATE)}
    trained = [name for name in state if not name.endswith((".low", ".accumulator"))]
    for name in trained:
        assert state[f"{name}.accumulator"].shape == state[name].shape
        is_int8 = name.endswith(".weight") and not name.startswith("classifier")
        assert (f"{name}.low" in state) == is_int8
    assert list(state)[: len(trained)] == trained


def test_streams_number_the_trained_tensors_in_state_order(backbone: Backbone) -> None:
    module = training_module(backbone, sparse(backbone), rounding="stochastic")
    order = [tensor.name for tensor in module.graph.with_role(Role.STATE)]
    for op in module.graph.operators:
        updated = op.find_input("trainable") or op.find_input("bias")
        if op.kind.endswith("_update") and op.kind != "fully_connected_update":
            assert updated is not None
            assert op.integer("stream") == order.index(updated)


def test_biases_stay_where_sums_fit_32_bits(backbone: Backbone) -> None:
    graph = training_module(backbone, full(backbone)).graph
    shifts = {
        op.layer: op.integer("shift")
        for op in graph.operators
        if op.find_output("mask") and op.find_input("x")
    }
    updates = [op for op in graph.operators if op.kind == "bias_update"]
    assert len(updates) == len(backbone.layers)
    for op in updates:
        assert op.integer("limit") == 2**30 >> shifts[op.layer]


def test_an_unknown_rounding_is_refused(backbone: Backbone) -> None:
    forward = lower(backbone, full(backbone), classes=3, quantization_aware_scaling=True)
    with pytest.raises(GraphError, match="rounding 'up'; known are nearest, stochastic, extended"):
        differentiate(forward, LOSS, rounding="up", accumulate=1, gradient="f32")


def test_an_unknown_gradient_is_refused(backbone: Backbone) -> None:
    forward = lower(backbone, full(backbone), classes=3, quantization_aware_scaling=True)
    with pytest.raises(GraphError, match="gradient 'i8'; known are f32, i16"):
        differentiate(forward, LOSS, rounding="nearest", accumulate=1, gradient="i8")


FLOAT_GRADIENTS = {"features", "logits", "pool.output"}
"""Those of vectors stay float32: they are few."""


def test_gradients_of_feature_maps_are_int16_with_an_exponent_each(backbone: Backbone) -> None:
    graph = training_module(backbone, full(backbone), gradient="i16").graph
    found = [tensor for tensor in graph.tensors if tensor.dtype is DType.INT16]
    assert len(found) == 56
    for tensor in found:
        exponent = graph.tensor(f"{tensor.name}.exponent")
        assert (exponent.dtype, exponent.shape, exponent.in_arena) == (DType.INT32, (), False)
        writer = graph.operators[graph.producers()[tensor.name]]
        assert graph.producers()[exponent.name] == graph.producers()[tensor.name]
        assert writer.kind.endswith("_i16")
    floats = {t.name.split(".gradient")[0] for t in graph.tensors if t.dtype is F32 and ".gradient" in t.name}
    assert floats == FLOAT_GRADIENTS
    kept = [t.name for t in graph.with_role(Role.CONSTANT) if t.name.endswith(".gradient_scale")]
    assert kept == []


def test_float32_graphs_hold_no_integer_gradients(backbone: Backbone) -> None:
    graph = training_module(backbone, full(backbone), gradient="f32").graph
    assert not any(op.kind.endswith("_i16") for op in graph.operators)
    assert not any(t.name.endswith((".exponent", ".gradient_multiplier")) for t in graph.tensors)


def test_int16_gradients_take_half_the_bytes(backbone: Backbone) -> None:
    f32, i16 = (training_module(backbone, full(backbone), gradient=g).graph for g in ("f32", "i16"))
    for tensor in i16.tensors:
        if tensor.dtype is DType.INT16 and f32.has(tensor.name):
            assert 2 * tensor.bytes == f32.tensor(tensor.name).bytes


def _mutated(module: Module) -> set[str]:
    return {
        name
        for op in module.graph.operators
        for role in kind_of(op).mutates
        if (name := op.find_input(role)) is not None
    }
