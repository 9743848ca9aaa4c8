"""The C of a streamed region: windows, and a loop over strips of rows."""

from __future__ import annotations

from collections.abc import Callable

from engine.codegen.c_text import comment, identifier
from engine.codegen.emitter import CEmitter
from engine.graph import Graph, Operator
from engine.operators import kind_of
from engine.operators.kind import Stage
from engine.streaming import Region, Streamed, chain_input, row_bytes, work_out


def region_function(region: Region, graph: Graph) -> str:
    """Name of the C function of a region: after its first layer."""
    return f"stream_{identifier(graph.operators[region.first].layer)}"


def stream_source(
    graph: Graph, emitter: CEmitter, region: Region, describe: Callable[[Graph, Operator, int], str]
) -> str:
    """A function that runs a region; `describe` comments on an operator of so many rows at a time."""
    streamed = work_out(graph, region)
    operators = graph.operators[region.first : region.last]
    height = graph.tensor(operators[-1].output("y")).shape[0]
    body = [
        _head(graph, operators, streamed),
        f"static void {region_function(region, graph)}(int training) {{",
        *_window_definitions(graph, emitter, operators),
        f"  for (uint32_t end = 0; end < {height}u;) {{",
        f"    end = end + {region.strip}u < {height}u ? end + {region.strip}u : {height}u;",
        *_ends(operators),
    ]
    for offset, op in enumerate(operators):
        last = op is operators[-1]
        end = "end" if last else f"{identifier(op.name)}_end"
        rows = streamed.rows[offset]
        stage = Stage(_window(chain_input(op)), _window(op.output("y")), end, rows, _window_of_skip(op))
        body += [
            f"    /* {region.first + offset} {comment(describe(graph, op, rows))} */",
            f"    TRAINER_MARK({region.first + offset}u);",
            f"    {kind_of(op).emit_stage(op, graph, emitter, stage)}",
        ]
    return "\n".join([*body, "  }", "  (void)training;", "}"])


def _head(graph: Graph, operators: tuple[Operator, ...], streamed: Streamed) -> str:
    rows = ", ".join(f"{window.rows} rows of {window.tensor}" for window in streamed.windows)
    strip = streamed.region.strip
    return (
        f"/* {comment(f'{operators[0].name} to {operators[-1].name}')} by strips of {strip} "
        f"row{'s' if strip > 1 else ''}; kept between them: {comment(rows)}. */"
    )


def _window(tensor: str) -> str:
    return f"{identifier(tensor)}_rows"


def _window_of_skip(op: Operator) -> str:
    return _window(op.input("a")) if op.kind == "add" else ""


def _window_definitions(graph: Graph, emitter: CEmitter, operators: tuple[Operator, ...]) -> list[str]:
    source, result = chain_input(operators[0]), operators[-1].output("y")
    lines = []
    for name in (source, *(op.output("y") for op in operators)):
        tensor = graph.tensor(name)
        whole = name in (source, result)
        pointer = emitter.pointer(name) if whole else emitter.window(name)
        rows = tensor.shape[0] if name == source else 0
        fields = f"{pointer}, {row_bytes(tensor)}u, 0u, {rows}u, {int(whole)}u"
        lines.append(f"  tb_window_t {_window(name)} = {{{fields}}};")
    return lines


def _ends(operators: tuple[Operator, ...]) -> list[str]:
    """How far each operator but the last has to go, from the end back."""
    lines = []
    later = "end"
    for before, op in zip(reversed(operators[:-1]), reversed(operators[1:]), strict=True):
        name = f"{identifier(before.name)}_end"
        if op.kind == "add":
            lines.append(f"    const uint32_t {name} = {later};")
        else:
            lines.append(
                f"    const uint32_t {name} = tb_rows_until(&{identifier(op.layer)}_geometry, {later});"
            )
        later = name
    return lines
