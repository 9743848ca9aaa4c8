"""trainer.c: operators in order, each with its shapes, scales and MACs; state, arena and the trainer ABI."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.channel_groups import ChannelRegion
from engine.codegen.c_text import comment
from engine.codegen.channel_groups import groups_call, groups_source
from engine.codegen.emitter import CEmitter
from engine.codegen.interface import SourceFacts, interface
from engine.codegen.layout import memory_definitions
from engine.codegen.stream import region_function, stream_source
from engine.errors import CodegenError
from engine.graph import Graph, Module, Operator, Phase, Tensor
from engine.liveness import AnyRegion
from engine.operators import kind_of
from engine.operators.exponents import is_exponent_role

_INCLUDES = """#include "trainer.h"

#include <string.h>

#include "constants.h"
#include "tb_channel_groups.h"
#include "tb_kernels.h"
#include "tb_stream.h"
{more}
#ifdef TRAINER_PROFILE
/* Whoever links these reads a clock there: at the start of a step; where an operator begins to run (each
 * time if it runs by strips of rows or groups of channels); and, with the number of operators, at the end. */
void trainer_profile_start(void);
void trainer_profile_mark(uint32_t operator_index);
#define TRAINER_START() trainer_profile_start()
#define TRAINER_MARK(index) trainer_profile_mark(index)
#else
#define TRAINER_START() ((void)0)
#define TRAINER_MARK(index) ((void)0)
#endif"""


def trainer_source(
    module: Module, emitter: CEmitter, facts: SourceFacts, regions: Sequence[AnyRegion] = ()
) -> str:
    """The text of trainer.c for a module in execution order; `emitter` holds its plan.

    Raises CodegenError where a forward operator follows another phase's: the plan's lifetimes would not be
    those of the C, which runs the forward pass as a function of its own.
    """
    graph = module.graph
    forward_count = _forward_count(graph)
    forward = _statements(graph, emitter, regions, range(forward_count))
    functions = [_region_function(graph, emitter, region) for region in regions]
    backward = _statements(graph, emitter, regions, range(forward_count, len(graph.operators)))
    sections = [
        _head(graph, facts) + "\n" + _INCLUDES.replace("{more}", _more_includes(graph)),
        memory_definitions(graph, facts.arena_bytes),
        "\n".join(emitter.definitions),
        *functions,
        _forward_function(forward),
        interface(module, emitter, facts, "\n".join(backward)),
    ]
    return "\n\n".join(sections) + "\n"


def is_floating(graph: Graph) -> bool:
    """Whether the graph is that of a float32 network."""
    return any(op.kind.startswith("float_") for op in graph.operators)


def _more_includes(graph: Graph) -> str:
    return '#include "tb_float.h"\n' if is_floating(graph) else ""


def _forward_count(graph: Graph) -> int:
    """Number of forward operators, which all come first."""
    forward = [op.phase is Phase.FORWARD for op in graph.operators]
    count = sum(forward)
    if not all(forward[:count]):
        late = next(
            op for op, is_forward in zip(graph.operators[count:], forward[count:], strict=True) if is_forward
        )
        raise CodegenError(
            f"operator {late.name} of the forward pass is scheduled after the backward pass began"
        )
    return count


def _head(graph: Graph, facts: SourceFacts) -> str:
    table = "\n".join(f" *   {comment(line)}".rstrip() for line in facts.plan_table.splitlines())
    forward, backward, update = (_macs(graph, phase) for phase in Phase)
    return f"""/* Trainer for {comment(facts.network)}, scheme {comment(facts.scheme)}. Generated.
 * {comment(facts.description)}
 *
 * Multiply-accumulates per training step: forward {forward}, backward {backward}, weight updates {update}.
 * Updates: {comment(facts.updates)}.
 *
 * Memory plan of the arena (bytes; a buffer lives in operators [first, last)):
{table}
 */"""


def _macs(graph: Graph, phase: Phase) -> int:
    return sum(kind_of(op).macs(op, graph) for op in graph.operators if op.phase is phase)


def _statements(graph: Graph, emitter: CEmitter, regions: Sequence[AnyRegion], operators: range) -> list[str]:
    starts = {region.first: region for region in regions}
    statements = []
    index = operators.start
    while index < operators.stop:
        region = starts.get(index)
        if region is None:
            statements.append(_statement(graph, emitter, index, graph.operators[index]))
            index += 1
        else:
            statements.append(_region_call(graph, region))
            index = region.last
    return statements


def _region_call(graph: Graph, region: AnyRegion) -> str:
    names = f"{graph.operators[region.first].name} to {graph.operators[region.last - 1].name}"
    if isinstance(region, ChannelRegion):
        how, call = "groups of channels", groups_call(graph, region)
    else:
        how, call = "strips of rows", f"{region_function(region, graph)}(training);"
    return f"  /* {region.first} to {region.last - 1} {comment(names)}, by {how} */\n  {call}"


def _region_function(graph: Graph, emitter: CEmitter, region: AnyRegion) -> str:
    if isinstance(region, ChannelRegion):
        described = [describe(graph, op) for op in graph.operators[region.first : region.last]]
        return groups_source(graph, emitter, region, described)
    return stream_source(graph, emitter, region, describe)


def _statement(graph: Graph, emitter: CEmitter, index: int, op: Operator) -> str:
    call, last = kind_of(op).emit(op, graph, emitter), kind_of(op).emit_last(op, graph, emitter, "&step")
    call = f"{call}\n  {last}" if last else call
    return f"  /* {index} {comment(describe(graph, op))} */\n  TRAINER_MARK({index}u);\n  {call}"


def describe(graph: Graph, op: Operator, rows: int | None = None) -> str:
    """One line: name, kind, shapes, kernel, scales, MACs, and the path chosen, for so many rows at a time."""
    read = [graph.tensor(name) for _, name in op.inputs if graph.tensor(name).in_arena]
    written = [
        graph.tensor(name) for role, name in op.outputs if role != "mask" and not is_exponent_role(role)
    ]
    if not written:
        written = [graph.tensor(name) for role, name in op.inputs if role in kind_of(op).mutates]
    text = f"{op.name}: {op.kind} {_typed(read)} -> {_typed(written)}"
    values = dict(op.attributes)
    if "kernel_height" in values:
        text += f", {values['kernel_height']}x{values['kernel_width']} stride {values['stride']}"
    macs = kind_of(op).macs(op, graph)
    choice = kind_of(op).choice(op, graph, rows)
    text += f", {macs} MACs" if macs else ""
    return f"{text}; path {choice}" if choice else text


def _typed(tensors: Iterable[Tensor]) -> str:
    return ", ".join(map(_type, tensors))


def _type(tensor: Tensor) -> str:
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    q = tensor.quantization
    return f"{tensor.dtype} {shape}" + (f" (scale {q.scale:.6g}, zero {q.zero_point})" if q else "")


def _forward_function(statements: Iterable[str]) -> str:
    body = "\n".join(statements)
    return f"""/* Clamp masks are written only where a backward pass follows. */
static void forward(int training) {{
{body}
  (void)training;
}}"""
