"""The printed form of a graph, and its parser: parse_graph(print_graph(g)) == g for every graph.

graph "mcunet"
argument %label i32[]
input %image i8[128, 128, 3] q(0.0078431372549019607, 0)
constant %stem.bias i32[16]
value %stem.output i8[64, 64, 16] q(0.0235, -128)
forward conv2d "stem" in "stem" (x = %image, bias = %stem.bias) -> (y = %stem.output) {"stride": 2}
return %logits, %loss
"""

from __future__ import annotations

import json
import re

from engine.errors import GraphError
from engine.graph import Attribute, DType, Graph, Operator, Phase, Quantization, Role, Tensor

_NAME = r"%[A-Za-z0-9_.:\-]+"
_TENSOR = re.compile(rf"^(\w+) ({_NAME}) (\w+)\[([\d, ]*)\](?: q\(([^,]+), (-?\d+)\))?$")
_OPERATOR = re.compile(
    r'^(\w+) (\w+) ("(?:[^"\\]|\\.)*") in ("(?:[^"\\]|\\.)*") \(([^)]*)\) -> \(([^)]*)\) \{(.*)\}$'
)
_OPERAND = re.compile(rf"^(\w+) = ({_NAME})$")


def print_graph(graph: Graph) -> str:
    """Deterministic text of a verified graph; floats are printed so that they read back exactly."""
    lines = [f"graph {json.dumps(graph.name)}"]
    lines += [_print_tensor(tensor) for tensor in graph.tensors]
    lines += [_print_operator(op) for op in graph.operators]
    lines.append(("return " + ", ".join(f"%{name}" for name in graph.outputs)).rstrip())
    return "\n".join(lines) + "\n"


def _print_tensor(tensor: Tensor) -> str:
    shape = ", ".join(map(str, tensor.shape))
    q = tensor.quantization
    quantization = f" q({q.scale!r}, {q.zero_point})" if q else ""
    return f"{tensor.role} %{tensor.name} {tensor.dtype}[{shape}]{quantization}"


def _print_operator(op: Operator) -> str:
    inputs = ", ".join(f"{role} = %{name}" for role, name in op.inputs)
    outputs = ", ".join(f"{role} = %{name}" for role, name in op.outputs)
    values = json.dumps(dict(op.attributes))
    head = f"{op.phase} {op.kind} {json.dumps(op.name)} in {json.dumps(op.layer)}"
    return f"{head} ({inputs}) -> ({outputs}) {values}"


def parse_graph(text: str) -> Graph:
    """The graph that `print_graph` printed; GraphError names the line that cannot be read."""
    lines = text.splitlines()
    if not lines or not lines[0].startswith("graph "):
        raise GraphError('graph text: line 1 should be: graph "name"')
    name = str(_json(lines[0][6:], 1))
    tensors: list[Tensor] = []
    operators: list[Operator] = []
    outputs: tuple[str, ...] | None = None
    for number, line in enumerate(lines[1:], start=2):
        if outputs is not None:
            raise GraphError(f"graph text: line {number} follows the return line: {line!r}")
        if line == "return" or line.startswith("return "):
            outputs = tuple(part.strip()[1:] for part in line[6:].split(",") if part.strip())
        elif (match := _TENSOR.match(line)) is not None:
            tensors.append(_tensor(match, number))
        elif (match := _OPERATOR.match(line)) is not None:
            operators.append(_operator(match, number))
        else:
            raise GraphError(f"graph text: line {number} is neither a tensor nor an operator: {line!r}")
    if outputs is None:
        raise GraphError("graph text: the return line is missing")
    return Graph(name, tuple(tensors), tuple(operators), outputs)


def _json(text: str, number: int) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise GraphError(f"graph text: line {number}: {text!r} cannot be read: {error.msg}") from error


def _tensor(match: re.Match[str], number: int) -> Tensor:
    role, name, dtype, shape, scale, zero = match.groups()
    try:
        quantization = Quantization(float(scale), int(zero)) if scale is not None else None
        sizes = tuple(int(part) for part in shape.split(",") if part.strip())
        return Tensor(name[1:], DType(dtype), sizes, Role(role), quantization)
    except ValueError as error:
        raise GraphError(f"graph text: line {number}: {error}") from error


def _operator(match: re.Match[str], number: int) -> Operator:
    phase, kind, name, layer, inputs, outputs, values = match.groups()
    try:
        phase_value = Phase(phase)
    except ValueError as error:
        raise GraphError(f"graph text: line {number}: {error}") from error
    loaded = _json("{" + values + "}", number)
    assert isinstance(loaded, dict)
    attributes: list[tuple[str, Attribute]] = []
    for key, value in loaded.items():
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise GraphError(
                f"graph text: line {number}: attribute {key} should be a number or a text, found {value!r}"
            )
        attributes.append((key, value))
    return Operator(
        kind,
        str(_json(name, number)),
        str(_json(layer, number)),
        phase_value,
        _operands(inputs, number),
        _operands(outputs, number),
        tuple(attributes),
    )


def _operands(text: str, number: int) -> tuple[tuple[str, str], ...]:
    pairs = []
    for part in text.split(", ") if text else []:
        match = _OPERAND.match(part)
        if match is None:
            raise GraphError(f"graph text: line {number}: operand {part!r} should be: role = %name")
        pairs.append((match[1], match[2][1:]))
    return tuple(pairs)
