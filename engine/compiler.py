"""The door to the compiler: backbone + scheme + options → trainer folder and its plan."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.autodiff import differentiate
from engine.codegen.constants import constants_header, constants_source
from engine.codegen.emitter import CEmitter, check_identifiers
from engine.codegen.folder import write_folder
from engine.codegen.interface import SourceFacts
from engine.codegen.layout import state_bytes
from engine.codegen.source import trainer_source
from engine.errors import CodegenError, PlanError
from engine.frontends.backbone import Backbone
from engine.graph import Graph, Module, Role
from engine.liveness import Lifetime, lifetimes, live_bytes
from engine.lowering import LOSS, lower
from engine.operators import kind_of
from engine.operators.update_operands import ROUNDINGS
from engine.passes.prune import prune
from engine.plan import Buffer, Plan, plan_buffers
from engine.plan_check import require_valid_plan
from engine.plan_table import format_plan
from engine.schedule import schedule
from engine.schemes import Scheme, describe_weights, extra_memory
from engine.text import print_graph
from engine.verifier import verify

DEFAULT_ROUNDING = "stochastic"
"""Best accuracy per byte at batch 1: as good as a low byte per weight, and free (docs/accuracy.md)."""


LARGEST_ARENA = 2**31 - 1
"""Bytes: the kernels index in 32 bits."""


@dataclass(frozen=True)
class CompileOptions:
    """classes: logits. qas: quantization-aware scaling. accumulate: images per update."""

    classes: int
    rounding: str = DEFAULT_ROUNDING
    qas: bool = True
    accumulate: int = 1


@dataclass(frozen=True)
class PlannedBuffer:
    """One arena buffer: [offset, offset + size) in operators [first, last)."""

    name: str
    offset: int
    size: int
    first: int
    last: int
    what: str


@dataclass(frozen=True)
class PlannedOperator:
    """One operator in execution order."""

    name: str
    kind: str
    phase: str
    layer: str
    macs: int
    live_bytes: int


@dataclass(frozen=True)
class MemoryPlan:
    """The arena plan as data; sizes in bytes."""

    arena_bytes: int
    lower_bound: int
    gap_bytes: int
    order: str
    buffers: tuple[PlannedBuffer, ...]
    operators: tuple[PlannedOperator, ...]


@dataclass(frozen=True)
class CompiledTrainer:
    """A trainer folder and everything the harness reports about how it was made."""

    folder: Path
    network: str
    scheme: Scheme
    options: CompileOptions
    plan: MemoryPlan
    plan_digest: str
    plan_text: str
    arena_bytes: int
    state_bytes: int
    updated_bias_layers: int
    updated_weight_layers: tuple[str, ...]
    trainable_values: int
    extra_memory_analytic: int
    module: Module

    @property
    def graph(self) -> Graph:
        return self.module.graph


def build_module(backbone: Backbone, scheme: Scheme, options: CompileOptions) -> tuple[Module, str]:
    """The complete training graph in execution order, verified after each pass; and the name of the order."""
    _check_options(options)
    module = verify(lower(backbone, scheme, classes=options.classes, quantization_aware_scaling=options.qas))
    module = verify(differentiate(module, LOSS, rounding=options.rounding, accumulate=options.accumulate))
    module = verify(prune(module))
    chosen = schedule(module.graph)
    return verify(module.with_graph(chosen.graph)), chosen.order


def plan_module(module: Module, order: str) -> tuple[MemoryPlan, dict[str, int], str]:
    """Offsets for every arena tensor, the plan as data, and as a table."""
    groups = lifetimes(module.graph)
    buffers = [Buffer.box(group.name, group.size, group.first, group.last) for group in groups]
    plan = plan_buffers(buffers)
    require_valid_plan(buffers, plan)
    if plan.peak > LARGEST_ARENA:
        raise PlanError(
            f"the arena of {module.graph.name} would need {plan.peak} bytes; "
            f"the kernels count up to {LARGEST_ARENA}"
        )
    offsets = {tensor: plan.offsets[group.name] for group in groups for tensor in group.tensors}
    return _plan_data(module.graph, groups, plan, order), offsets, format_plan(buffers, plan)


def compile_trainer(
    backbone: Backbone, scheme: Scheme, options: CompileOptions, out_dir: Path
) -> CompiledTrainer:
    """Compile to `out_dir`; the same input writes the same bytes. Raises EngineError's kinds."""
    module, order = build_module(backbone, scheme, options)
    check_identifiers(module.graph)
    plan, offsets, table = plan_module(module, order)
    text = print_graph(module.graph)
    plan_json = json.dumps(
        {
            "network": backbone.name,
            "model_digest": backbone.digest,
            "scheme": asdict(scheme),
            "options": asdict(options),
            "graph_digest": hashlib.sha256(text.encode()).hexdigest(),
            "plan": asdict(plan),
        },
        indent=1,
        sort_keys=True,
    )
    plan_json += "\n"
    digest = hashlib.sha256(plan_json.encode()).hexdigest()
    facts = SourceFacts(
        network=backbone.name,
        scheme=scheme.name,
        description=scheme.description,
        plan_digest=digest,
        plan_table=table,
        arena_bytes=plan.arena_bytes,
        images_per_update=options.accumulate,
    )
    write_folder(
        out_dir,
        {
            "trainer.c": trainer_source(module, CEmitter(module.graph, offsets), facts),
            "constants.h": constants_header(module),
            "constants.c": constants_source(module),
            "plan.json": plan_json,
            "graph.txt": text,
        },
    )
    state = list(module.graph.with_role(Role.STATE))
    trained = [tensor for tensor in state if not tensor.name.endswith((".low", ".accumulator"))]
    return CompiledTrainer(
        folder=out_dir,
        network=backbone.name,
        scheme=scheme,
        options=options,
        plan=plan,
        plan_digest=digest,
        plan_text=table,
        arena_bytes=plan.arena_bytes,
        state_bytes=state_bytes(module.graph),
        updated_bias_layers=scheme.bias_last,
        updated_weight_layers=describe_weights(scheme),
        trainable_values=sum(tensor.elements for tensor in trained),
        extra_memory_analytic=extra_memory(scheme, backbone),
        module=module,
    )


def _check_options(options: CompileOptions) -> None:
    if options.rounding not in ROUNDINGS:
        raise CodegenError(f"rounding {options.rounding!r}; known are {', '.join(ROUNDINGS)}")
    if not 2 <= options.classes <= 4096:
        raise CodegenError(f"{options.classes} classes; a classifier needs 2 to 4096")
    if not 1 <= options.accumulate <= 65535:
        raise CodegenError(f"accumulation over {options.accumulate} images; 1 to 65535 are possible")


def _plan_data(graph: Graph, groups: tuple[Lifetime, ...], plan: Plan, order: str) -> MemoryPlan:
    live = live_bytes(graph)
    return MemoryPlan(
        arena_bytes=plan.peak,
        lower_bound=plan.lower_bound,
        gap_bytes=plan.gap,
        order=f"operators {order}; buffers {plan.order}",
        buffers=tuple(
            PlannedBuffer(g.name, plan.offsets[g.name], g.size, g.first, g.last, g.what)
            for g in sorted(groups, key=lambda g: (plan.offsets[g.name], g.first, g.name))
        ),
        operators=tuple(
            PlannedOperator(
                op.name, op.kind, str(op.phase), op.layer, kind_of(op).macs(op, graph), live[index]
            )
            for index, op in enumerate(graph.operators)
        ),
    )
