"""trainer.c: operators in order, each with its shapes, scales and MACs; state, arena and the trainer ABI."""

from __future__ import annotations

from dataclasses import dataclass

from engine.codegen.constants import fill_value, initial_name
from engine.codegen.emitter import C_TYPES, CEmitter, identifier
from engine.graph import DType, Graph, Module, Operator, Phase, Role, Tensor
from engine.lowering import IMAGE, LOGITS
from engine.operators import kind_of

_ALIGNMENT_OF = {DType.FLOAT32: 4, DType.INT32: 4, DType.UINT16: 2}


@dataclass(frozen=True)
class SourceFacts:
    """What the head of trainer.c and trainer_info() say."""

    network: str
    scheme: str
    description: str
    plan_digest: str
    plan_table: str
    arena_bytes: int
    images_per_update: int


def state_order(graph: Graph) -> list[Tensor]:
    """State tensors in network order: the order of spans and of the state digest."""
    return list(graph.with_role(Role.STATE))


def state_bytes(graph: Graph) -> int:
    """sizeof the state struct: tensors sorted by alignment, so that only its end is padded."""
    total = sum(tensor.bytes for tensor in state_order(graph))
    return (total + 3) // 4 * 4


def trainer_source(module: Module, emitter: CEmitter, facts: SourceFacts) -> str:
    graph = module.graph
    forward = [_statement(graph, emitter, index, op) for index, op in _phase(graph, forward=True)]
    backward = [_statement(graph, emitter, index, op) for index, op in _phase(graph, forward=False)]
    sections = [
        _head(graph, facts),
        _memory(graph, facts),
        "\n".join(emitter.definitions),
        _forward_function(forward),
        _interface(module, emitter, facts, backward),
    ]
    return "\n\n".join(sections) + "\n"


def _phase(graph: Graph, *, forward: bool) -> list[tuple[int, Operator]]:
    return [(i, op) for i, op in enumerate(graph.operators) if (op.phase is Phase.FORWARD) == forward]


def _comment_text(text: str) -> str:
    return text.replace("*/", "* /").replace("\n", " ")


def _head(graph: Graph, facts: SourceFacts) -> str:
    table = "\n".join(f" *   {_comment_text(line)}".rstrip() for line in facts.plan_table.splitlines())
    macs = {phase: sum(kind_of(op).macs(op, graph) for op in graph.operators if op.phase is phase) for phase in Phase}
    return f"""/* Trainer for {_comment_text(facts.network)}, scheme {_comment_text(facts.scheme)}: {_comment_text(facts.description)}. Generated.
 *
 * Multiply-accumulates per training step: forward {macs[Phase.FORWARD]}, backward {macs[Phase.BACKWARD]}, weight updates {macs[Phase.UPDATE]}.
 *
 * Memory plan of the arena (bytes; a buffer lives in operators [first, last)):
{table}
 */
#include "trainer.h"

#include <string.h>

#include "constants.h"
#include "tb_kernels.h"

#ifdef TRAINER_PROFILE
/* Called before each operator and once after the last of a step; whoever links the trainer reads its clock there. */
void trainer_profile_mark(uint32_t operator_index);
#define TRAINER_MARK(index) trainer_profile_mark(index)
#else
#define TRAINER_MARK(index) ((void)0)
#endif"""


def _memory(graph: Graph, facts: SourceFacts) -> str:
    ordered = sorted(state_order(graph), key=lambda t: -_ALIGNMENT_OF.get(t.dtype, 1))
    fields = "\n".join(
        f"  {C_TYPES[t.dtype]} {identifier(t.name)}[{t.elements}]; /* {list(t.shape)} */" for t in ordered
    )
    return f"""#define ARENA_BYTES {facts.arena_bytes}u

extern uint8_t trainer_arena[ARENA_BYTES];
uint8_t trainer_arena[ARENA_BYTES] __attribute__((section(".arena"), aligned(16)));

static struct {{
{fields}
}} state __attribute__((section(".state"), aligned(16)));

static float learning_rate;
static uint32_t seed;
static uint32_t steps;"""


def _statement(graph: Graph, emitter: CEmitter, index: int, op: Operator) -> str:
    call = kind_of(op).emit(op, graph, emitter)
    return f"  /* {index} {_comment_text(describe(graph, op))} */\n  TRAINER_MARK({index}u);\n  {call}"


def describe(graph: Graph, op: Operator) -> str:
    """One line: name, kind, shapes, kernel, scales, MACs."""
    arena = [graph.tensor(name) for _, name in op.inputs if graph.tensor(name).in_arena]
    results = [graph.tensor(name) for role, name in op.outputs if role != "mask"]
    if not results:
        results = [graph.tensor(name) for role, name in op.inputs if role in kind_of(op).mutates]
    text = f"{op.name}: {op.kind} {', '.join(map(_typed, arena))} -> {', '.join(map(_typed, results))}"
    values = dict(op.attributes)
    if "kernel_height" in values:
        text += f", {values['kernel_height']}x{values['kernel_width']} stride {values['stride']}"
    macs = kind_of(op).macs(op, graph)
    return f"{text}, {macs} MACs" if macs else text


def _typed(tensor: Tensor) -> str:
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    q = tensor.quantization
    return f"{tensor.dtype} {shape}" + (f" (scale {q.scale:.6g}, zero {q.zero_point})" if q else "")


def _forward_function(statements: list[str]) -> str:
    body = "\n".join(statements)
    return f"/* Clamp masks are written only where a backward pass follows. */\nstatic void forward(int training) {{\n{body}\n  (void)training;\n}}"


def _interface(module: Module, emitter: CEmitter, facts: SourceFacts, backward: list[str]) -> str:
    graph = module.graph
    height, width, channels = graph.tensor(IMAGE).shape
    classes = graph.tensor(LOGITS).elements
    count = facts.images_per_update
    apply = "1u" if count == 1 else f"(uint8_t)((steps + 1u) % {count}u == 0u)"
    body = "\n".join(backward)
    spans = "\n".join(
        f'    {{"{tensor.name}", state.{identifier(tensor.name)}, {tensor.bytes}u}},' for tensor in state_order(graph)
    )
    return f"""const trainer_info_t *trainer_info(void) {{
  static const trainer_info_t info = {{
      .abi_version = TRAINER_ABI_VERSION,
      .network = {_quoted(facts.network)},
      .scheme = {_quoted(facts.scheme)},
      .plan_digest = "{facts.plan_digest}",
      .input_height = {height}u, .input_width = {width}u, .input_channels = {channels}u, .input_bytes = {height * width * channels}u,
      .classes = {classes}u,
      .arena_bytes = ARENA_BYTES,
      .state_bytes = {state_bytes(graph)}u,
  }};
  return &info;
}}

void trainer_reset(uint32_t new_seed) {{
{_reset_statements(module)}
  learning_rate = 0.0f;
  seed = new_seed;
  steps = 0u;
}}

void trainer_set_learning_rate(float new_learning_rate) {{ learning_rate = new_learning_rate; }}

int8_t *trainer_input(void) {{ return {emitter.pointer(IMAGE)}; }}

const float *trainer_logits(void) {{ return {emitter.pointer(LOGITS)}; }}

const float *trainer_predict(void) {{
  forward(0);
  return trainer_logits();
}}

float trainer_train_step(uint32_t label) {{
  float loss;
  const tb_step_t step = {{
      .learning_rate = learning_rate,
      .step_key = tb_mix(seed + 0x9e3779b9u * steps),
      .apply = {apply},
      .accumulate = {int(count > 1)}u,
      .mean = 1.0f / {count}.0f,
  }};
  forward(1);
{body}
  TRAINER_MARK({len(graph.operators)}u);
  steps += 1u;
  return loss;
}}

static const trainer_span_t spans[] = {{
{spans}
}};

uint32_t trainer_state_count(void) {{ return sizeof spans / sizeof spans[0]; }}

trainer_span_t trainer_state_span(uint32_t index) {{ return spans[index]; }}

trainer_span_t trainer_arena_span(void) {{
  const trainer_span_t span = {{"arena", trainer_arena, ARENA_BYTES}};
  return span;
}}"""


def _reset_statements(module: Module) -> str:
    lines = []
    for tensor in state_order(module.graph):
        field = f"state.{identifier(tensor.name)}"
        fill = fill_value(module.data[tensor.name])
        if fill is None:
            lines.append(f"  memcpy({field}, {initial_name(tensor)}, sizeof {field});")
        else:
            lines.append(f"  memset({field}, {fill}, sizeof {field});")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A C string literal of printable ASCII; everything else is escaped."""
    parts = []
    for byte in text.encode():
        printable = 32 <= byte < 127 and byte not in b'"\\?'
        parts.append(chr(byte) if printable else f"\\{byte:03o}")
    return '"' + "".join(parts) + '"'
