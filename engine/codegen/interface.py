"""The trainer ABI (`trainer.h`) as C text."""

from __future__ import annotations

from dataclasses import dataclass

from engine.codegen.c_text import identifier, string_literal
from engine.codegen.constants import fill_value, initial_name
from engine.codegen.emitter import CEmitter
from engine.codegen.layout import state_bytes, state_order
from engine.graph import Graph, Module
from engine.lowering import IMAGE, LOGITS
from engine.update_rules import DEFAULT_RULE


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
    rule: str = DEFAULT_RULE
    updates: str = ""


def interface(module: Module, emitter: CEmitter, facts: SourceFacts, backward: str) -> str:
    """Every function of trainer.h; `backward` holds the statements that follow the forward pass."""
    functions = [
        _info(module.graph, facts),
        *([_ADAM_POWERS] if facts.rule == "adam" else []),
        _reset(module, facts.rule),
        "void trainer_set_learning_rate(float new_learning_rate) { learning_rate = new_learning_rate; }",
        f"int8_t *trainer_input(void) {{ return {emitter.pointer(IMAGE)}; }}",
        f"const float *trainer_logits(void) {{ return {emitter.pointer(LOGITS)}; }}",
        "const float *trainer_predict(void) {\n  forward(0);\n  return trainer_logits();\n}",
        _train_step(len(module.graph.operators), facts, backward),
        _spans(module.graph),
    ]
    return "\n\n".join(functions)


def _info(graph: Graph, facts: SourceFacts) -> str:
    height, width, channels = graph.tensor(IMAGE).shape
    return f"""const trainer_info_t *trainer_info(void) {{
  static const trainer_info_t info = {{
      .abi_version = TRAINER_ABI_VERSION,
      .network = {string_literal(facts.network)},
      .scheme = {string_literal(facts.scheme)},
      .plan_digest = {string_literal(facts.plan_digest)},
      .input_height = {height}u,
      .input_width = {width}u,
      .input_channels = {channels}u,
      .input_bytes = {height * width * channels}u,
      .classes = {graph.tensor(LOGITS).elements}u,
      .arena_bytes = ARENA_BYTES,
      .state_bytes = {state_bytes(graph)}u,
  }};
  return &info;
}}"""


_ADAM_POWERS = "static float adam_powers[2]; /* 0.9^t and 0.999^t after t updates */"


def _reset(module: Module, rule: str) -> str:
    lines = []
    for tensor in state_order(module.graph):
        field = f"state.{identifier(tensor.name)}"
        fill = fill_value(module.data[tensor.name])
        if fill is None:
            lines.append(f"  memcpy({field}, {initial_name(tensor)}, sizeof {field});")
        else:
            lines.append(f"  memset({field}, {fill}, sizeof {field});")
    if rule == "adam":
        lines.append("  adam_powers[0] = adam_powers[1] = 1.0f;")
    body = "\n".join(lines)
    return f"""void trainer_reset(uint32_t new_seed) {{
{body}
  learning_rate = 0.0f;
  seed = new_seed;
  steps = 0u;
}}"""


def _train_step(operators: int, facts: SourceFacts, backward: str) -> str:
    every = facts.images_per_update
    apply = "1u" if every == 1 else f"(uint8_t)((steps + 1u) % {every}u == 0u)"
    plain = facts.rule == DEFAULT_RULE
    rate = "learning_rate" if plain else "1.0f"
    qualifier, begin = "const ", ""
    if facts.rule == "adam":
        qualifier, begin = "", "\n  tb_adam_begin(&step, adam_powers);"
    accumulate = int(every > 1)
    if facts.rule == "lars":
        apply, accumulate = f"0u,\n      .whole = {apply}", 1
    of_rule = "" if plain else "\n      .rate = learning_rate,"
    return f"""float trainer_train_step(uint32_t label) {{
  float loss;
  {qualifier}tb_step_t step = {{
      .learning_rate = {rate},
      .step_key = tb_mix(seed + 0x9e3779b9u * steps),
      .apply = {apply},
      .accumulate = {accumulate}u,
      .mean = 1.0f / {every}.0f,{of_rule}
  }};{begin}
  TRAINER_START();
  forward(1);
{backward}
  TRAINER_MARK({operators}u);
  steps += 1u;
  return loss;
}}"""


def _spans(graph: Graph) -> str:
    spans = "\n".join(
        f"    {{{string_literal(tensor.name)}, state.{identifier(tensor.name)}, {tensor.bytes}u}},"
        for tensor in state_order(graph)
    )
    return f"""static const trainer_span_t spans[] = {{
{spans}
}};

uint32_t trainer_state_count(void) {{ return sizeof spans / sizeof spans[0]; }}

trainer_span_t trainer_state_span(uint32_t index) {{ return spans[index]; }}

trainer_span_t trainer_arena_span(void) {{
  const trainer_span_t span = {{"arena", trainer_arena, ARENA_BYTES}};
  return span;
}}"""
