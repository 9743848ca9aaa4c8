from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_networks import image, schemes, training_module, with_classifier

from engine.autodiff import differentiate
from engine.frontends.backbone import Backbone
from engine.graph import DType, Graph, Module, Operator, Phase, Quantization, Role, Tensor
from engine.interpreter import Interpreter
from engine.lowering import LOSS, lower
from engine.passes.prune import prune
from engine.text import parse_graph, print_graph
from engine.verifier import verify

BEFORE = """graph "g"
input %image i8[2, 2, 3] q(0.5, -1)
constant %unused i8[3]
constant %scale f32[3]
state %bias i32[3]
value %wasted i8[3] q(0.5, -1)
value %wasted_too f32[3]
value %sum i8[2, 2, 3] q(0.5, 0)
value %mask bit[2, 2, 3]
value %gradient f32[2, 2, 3]
value %ga f32[2, 2, 3]
value %gb f32[2, 2, 3]
value %pooled i8[3] q(0.5, 0)
forward global_average_pool "dead" in "dead" (x = %image) -> (y = %wasted) {}
forward dequantize "dead.too" in "dead" (x = %wasted) -> (y = %wasted_too) {}
forward add "add" in "add" (a = %image, b = %image) -> (y = %sum, mask = %mask) {}
forward global_average_pool "pool" in "pool" (x = %sum) -> (y = %pooled) {}
return %pooled
"""

AFTER = """graph "g"
input %image i8[2, 2, 3] q(0.5, -1)
value %sum i8[2, 2, 3] q(0.5, 0)
value %pooled i8[3] q(0.5, 0)
forward add "add" in "add" (a = %image, b = %image) -> (y = %sum) {}
forward global_average_pool "pool" in "pool" (x = %sum) -> (y = %pooled) {}
return %pooled
"""

UPDATE = """update bias_update "bias" in "add" (gradient = %ga, bias = %bias, scale = %scale) -> () {}"""
GRADIENT = (
    """backward add_grad "grad" in "add" (gradient = %gradient, mask = %mask) -> (ga = %ga, gb = %gb) {}"""
)
SOURCE = (
    """backward global_average_pool_grad "source" in "pool" (gradient = %wasted_too) -> (dx = %gradient) {}"""
)


def pruned(text: str) -> str:
    graph = parse_graph(text)
    data = {"unused": np.zeros(3, np.int8), "scale": np.zeros(3, np.float32), "bias": np.zeros(3, np.int32)}
    module = prune(Module(graph, data))
    kept = {tensor.name for tensor in module.graph.with_role(Role.CONSTANT, Role.STATE)}
    assert set(module.data) == kept
    return print_graph(module.graph)


def test_what_feeds_nothing_is_removed() -> None:
    """Two dead operators in a row, an optional output nobody reads, tensors of all roles nobody names."""
    assert pruned(BEFORE) == AFTER


def test_pruning_what_is_pruned_changes_nothing() -> None:
    assert pruned(AFTER) == AFTER


def test_what_an_update_needs_is_kept_and_no_more() -> None:
    """The update of the bias keeps the gradient that it reads, its mask and its source; gb feeds nothing."""
    before = BEFORE.replace("return", f"{SOURCE}\n{GRADIENT}\n{UPDATE}\nreturn")
    after = pruned(before)
    assert UPDATE in after
    assert SOURCE in after
    assert GRADIENT.replace(", gb = %gb", "") in after
    assert '"add" (a = %image, b = %image) -> (y = %sum, mask = %mask)' in after
    assert '"dead.too"' in after  # it feeds the gradient
    assert "%gb" not in after
    assert "%unused" not in after


def test_a_gradient_that_feeds_nothing_is_removed_with_its_mask() -> None:
    before = BEFORE.replace("return", f"{SOURCE}\n{GRADIENT}\nreturn")
    assert pruned(before) == AFTER


@pytest.mark.parametrize("scheme_name", ["full", "last-layer", "bias-only", "sparse"])
def test_pruning_keeps_the_results(backbone: Backbone, scheme_name: str) -> None:
    scheme = schemes(backbone)[scheme_name]
    forward = lower(backbone, scheme, classes=4, quantization_aware_scaling=True)
    whole = with_dead_code(differentiate(forward, LOSS, rounding="stochastic", accumulate=1, gradient="f32"))
    small = verify(prune(whole))
    assert not any(tensor.name.startswith("dead") for tensor in small.graph.tensors)
    unread = {t.name for t in whole.graph.with_role(Role.CONSTANT)} - {t.name for t in small.graph.tensors}
    assert {f"{layer.name}.gradient_multiplier" for layer in backbone.layers} <= unread
    assert any(name.endswith("_scale") for name in unread) == (scheme_name != "full")
    results = []
    for module in (whole, small):
        interpreter = with_classifier(Interpreter(module))
        interpreter.learning_rate = 0.02
        losses = [interpreter.train_step(image(step), step) for step in range(2)]
        results.append((losses, interpreter.state_bytes(), interpreter.predict(image(5)).tobytes()))
    assert results[0] == results[1]


def with_dead_code(module: Module) -> Module:
    """The module with an operator that nothing needs."""
    graph = module.graph
    tensor = Tensor("dead.output", DType.INT8, (5,), Role.VALUE, Quantization(0.1, 0))
    op = Operator(
        "global_average_pool", "dead", "dead", Phase.FORWARD, (("x", "stem.output"),), (("y", tensor.name),)
    )
    changed: Graph = replace(graph, tensors=(*graph.tensors, tensor), operators=(*graph.operators, op))
    return verify(module.with_graph(changed))


def test_frozen_layers_keep_no_scales_of_updates(backbone: Backbone) -> None:
    graph = training_module(backbone, schemes(backbone)["last-layer"]).graph
    assert [t.name for t in graph.with_role(Role.CONSTANT) if t.name.endswith("_scale")] == []
