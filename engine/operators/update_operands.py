"""Operands shared by all updates: scale, low bytes, accumulator, rounding, and what an update rule keeps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.graph import Array, DType, Graph, Operator, Role, Tensor
from engine.operators import reference, rules
from engine.operators.fixed_point import Float32
from engine.operators.kind import Emitter, StepContext, expect
from engine.operators.updates import Rounding
from engine.update_rules import DEFAULT_RULE, RULES

KEPT_BY = {"sgd": (), "momentum": ("momentum",), "adam": ("momentum", "second_moment"), "lars": ("momentum",)}
"""What each rule keeps beside a trained value: roles of float32 state."""
KEPT_ROLES = ("momentum", "second_moment")
AUXILIARY_ROLES = ("low", "accumulator", *KEPT_ROLES)
"""Of state that belongs to a trained tensor and is named after it."""

ROUNDINGS = tuple(rounding.name.lower() for rounding in Rounding)


def rounding_of(op: Operator) -> Rounding:
    return Rounding[op.text("rounding").upper()]


def rule_of(op: Operator) -> str:
    """The update rule's name; operators of sgd do not say it."""
    return str(dict(op.attributes).get("rule", DEFAULT_RULE))


def trained_state(graph: Graph) -> list[Tensor]:
    """State tensors that are trained, without what belongs to them; in network order."""
    suffixes = tuple(f".{role}" for role in AUXILIARY_ROLES)
    return [tensor for tensor in graph.with_role(Role.STATE) if not tensor.name.endswith(suffixes)]


def check_rule(op: Operator, graph: Graph, updated: Tensor, prefix: str = "") -> None:
    """What the rule keeps is there and fits the tensor `updated`; its roles begin with `prefix`."""
    expect(rule_of(op) in RULES, op, f"rule must be one of {', '.join(RULES)}")
    accumulates = op.find_input(f"{prefix}accumulator") is not None
    expect(accumulates or rule_of(op) != "lars", op, f"lars needs {prefix}accumulator")
    for role in KEPT_ROLES:
        name, expected = op.find_input(prefix + role), role in KEPT_BY[rule_of(op)]
        expect((name is not None) == expected, op, f"{prefix}{role} does not go with rule {rule_of(op)}")
        if name is not None:
            _check_kept(op, graph.tensor(name), updated, DType.FLOAT32)


def _check_kept(op: Operator, tensor: Tensor, updated: Tensor, dtype: DType) -> None:
    expect(tensor.dtype is dtype and tensor.role is Role.STATE, op, f"{tensor.name} must be {dtype} state")
    expect(
        tensor.shape == updated.shape,
        op,
        f"{tensor.name} should have shape {updated.shape}, found {tensor.shape}",
    )


def check_update(op: Operator, graph: Graph, updated: Tensor, channels: int) -> None:
    """The update's scale, low bytes and accumulator fit the tensor it updates."""
    scale = graph.operand(op, "scale")
    expect(scale.dtype is DType.FLOAT32 and scale.shape == (channels,), op, f"scale must be f32 [{channels}]")
    expect(op.text("rounding") in ROUNDINGS, op, f"rounding must be one of {', '.join(ROUNDINGS)}")
    low, accumulator = op.find_input("low"), op.find_input("accumulator")
    extended = rounding_of(op) is Rounding.EXTENDED and updated.dtype is DType.INT8
    expect(
        (low is not None) == extended,
        op,
        "low bytes go with extended rounding of int8 weights, and only with it",
    )
    for name, dtype in ((low, DType.UINT8), (accumulator, DType.FLOAT32)):
        if name is not None:
            _check_kept(op, graph.tensor(name), updated, dtype)
    check_rule(op, graph, updated)


def descent(
    op: Operator,
    gradient: Float32,
    scale: Array | None,
    trained: str,
    values: Mapping[str, Array],
    step: StepContext,
    prefix: str = "",
) -> tuple[Float32 | None, dict[str, Array]]:
    """From one image's gradient of the tensor in role `trained` to what its stored values are moved by.

    `scale` per index of the first axis; None: 1. `prefix` of the roles of what the tensor keeps. Returns the
    real steps (None while images are still being collected) and the new values of what it keeps, by role.
    """
    ready, kept = _accumulated(gradient, values, step, f"{prefix}accumulator")
    if ready is None:
        return None, kept
    if rule_of(op) == DEFAULT_RULE:
        one = np.ones(gradient.shape[0], np.float32)
        return reference.descent(ready, one if scale is None else scale, step.learning_rate), kept
    rate = rules.learning_rate(step.learning_rate, op.number("rate"))
    scaled = rules.scaled_gradient(ready, scale)
    before = values[f"{prefix}momentum"]
    if rule_of(op) == "adam":
        second = values[f"{prefix}second_moment"]
        d, momentum, second = rules.adam(scaled, before, second, rate, step.corrections)
        return d, {**kept, f"{prefix}momentum": momentum, f"{prefix}second_moment": second}
    if rule_of(op) == "lars":
        scaled = rules.trust_ratio(values[trained].astype(np.float32), scaled) * scaled
    momentum = rules.momentum_after(before, scaled, op.number("momentum"))
    return -(rate * momentum), {**kept, f"{prefix}momentum": momentum}


def _accumulated(
    gradient: Float32, values: Mapping[str, Array], step: StepContext, role: str
) -> tuple[Float32 | None, dict[str, Array]]:
    """Route a gradient through its accumulator, if it has one.

    Returns the gradient to apply now (None while images are still being collected) and the accumulator's new
    value.
    """
    if role not in values:
        return gradient, {}
    total = reference.accumulate(values[role], gradient)
    if not step.apply:
        return None, {role: total}
    return reference.mean_gradient(total, step.images_per_update), {role: np.zeros_like(total)}


def apply_int8_update(
    op: Operator, gradient: Float32, scale: Array, values: Mapping[str, Array], step: StepContext
) -> dict[str, Array]:
    """New trainable weights (and low bytes, accumulator) after one image's gradient."""
    d, result = descent(op, gradient, scale, "trainable", values, step)
    if d is None:
        return result
    weights, low = reference.move_int8(
        values["trainable"],
        d,
        rounding_of(op),
        step.step_key,
        op.integer("stream"),
        values.get("low"),
    )
    result["trainable"] = weights
    if low is not None:
        result["low"] = low
    return result


def declare_update(op: Operator, emitter: Emitter, suffix: str, prefix: str = "") -> str:
    """Define the struct that says how a tensor is updated and return a pointer to it."""
    symbol = emitter.symbol(op, suffix)
    rule = _declare_rule(op, emitter, symbol, prefix)
    scale, stream = op.find_input("scale"), dict(op.attributes).get("stream", 0)
    rounding = f".rounding = TB_{op.text('rounding').upper()},\n    " if scale is not None else ""
    emitter.declare(
        symbol,
        f"static const tb_update_t {symbol} = {{\n"
        f"    .scale = {emitter.pointer(scale)}, .stream = {stream}u, {rounding}"
        f".low = {emitter.pointer(op.find_input('low'))}, "
        f".accumulator = {emitter.pointer(op.find_input(f'{prefix}accumulator'))}"
        f"{rule}}};",
    )
    return f"&{symbol}"


_DESCEND = {"momentum": "tb_momentum_descend", "lars": "tb_momentum_descend", "adam": "tb_adam_descend"}


def _declare_rule(op: Operator, emitter: Emitter, update: str, prefix: str) -> str:
    """Define the rule of the struct `update` and return the field that points to it; empty for sgd."""
    if rule_of(op) == DEFAULT_RULE:
        return ""
    kept = ", ".join(f".{role} = {emitter.pointer(op.input(prefix + role))}" for role in KEPT_BY[rule_of(op)])
    constants = f".rate = {emitter.number(op.number('rate'))}"
    if "momentum" in dict(op.attributes):
        constants += f", .decay = {emitter.number(op.number('momentum'))}, .trust = 1.0f"
    emitter.declare(
        f"{update}_rule",
        f"static const tb_rule_t {update}_rule = {{\n"
        f"    .descend = {_DESCEND[rule_of(op)]}, .move_biases = tb_move_biases_by_rule,\n"
        f"    {kept}, {constants}}};",
    )
    return f",\n    .rule = &{update}_rule"


def whole_update(op: Operator, graph: Graph, emitter: Emitter, role: str, update: str, step: str) -> str:
    """The C statement that follows where lars updates the tensor in `role`; empty for other rules.

    update: what `declare_update` gave for it. step: C expression of a pointer to the step.
    """
    if rule_of(op) != "lars":
        return ""
    tensor = graph.operand(op, role)
    operands = f"{emitter.pointer(tensor.name)}, {update}, {step}"
    if tensor.dtype is DType.INT32:
        return f"tb_lars_i32({operands}, {tensor.elements}u, {op.integer('limit')});"
    rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
    sizes = f"{rows}u, {tensor.elements // rows}u"
    if tensor.dtype is DType.FLOAT32:
        return f"tb_lars_f32({operands}, {sizes});"
    channels = op.find_input("channels") if len(tensor.shape) == 3 else None  # rows are channels: depthwise
    return f"tb_lars_i8({operands}, {emitter.pointer(channels)}, {sizes});"
