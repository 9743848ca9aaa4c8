"""The door to the compiler: backbone + scheme + options → trainer folder and its plan."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from engine.autodiff import GRADIENTS, differentiate
from engine.codegen.constants import constants_header, constants_source
from engine.codegen.emitter import CEmitter, check_identifiers
from engine.codegen.folder import write_folder
from engine.codegen.interface import SourceFacts
from engine.codegen.layout import state_bytes
from engine.codegen.source import is_floating, trainer_source
from engine.errors import CodegenError
from engine.frontends.backbone import Backbone
from engine.graph import Graph, Module
from engine.liveness import peak_live_bytes
from engine.lowering import LOSS, lower
from engine.lowering_float import lower_float
from engine.memory_plan import MemoryPlan, plan_module
from engine.operators.update_operands import ROUNDINGS, trained_state
from engine.passes.prune import prune
from engine.regions import choose_regions
from engine.schedule import schedule
from engine.schemes import Scheme, describe_weights, extra_memory
from engine.text import print_graph
from engine.update_rules import (
    DEFAULT_MOMENTUM,
    DEFAULT_PRECISION,
    DEFAULT_RULE,
    PRECISIONS,
    RULES,
    UpdateRule,
)
from engine.verifier import verify

DEFAULT_ROUNDING = "stochastic"
"""Best accuracy per byte at batch 1: as good as a low byte per weight, and free (docs/accuracy.md)."""

DEFAULT_GRADIENT = "i16"
"""Half the instructions of f32 at an accuracy that cannot be told apart from its (docs/accuracy.md)."""


_LARGEST_RATE_FACTOR = 1e12
"""Without quantization-aware scaling, convolutions want rates a million times those of the classifier. As far
the other way: then no scale of an update underflows."""


@dataclass(frozen=True)
class CompileOptions:
    """classes: logits. qas: quantization-aware scaling. accumulate: images per update. gradient: f32, i16."""

    classes: int
    rounding: str = DEFAULT_ROUNDING
    qas: bool = True
    accumulate: int = 1
    gradient: str = DEFAULT_GRADIENT
    rule: str = DEFAULT_RULE
    """How a gradient becomes a step: `engine.update_rules`."""
    momentum: float = DEFAULT_MOMENTUM
    """Of the rules that have one."""
    convolution_rate: float = 1.0
    """Learning rate of convolutions over that of the classifier."""
    precision: str = DEFAULT_PRECISION
    """Of the network: `engine.update_rules`."""


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
    updates: str
    """One line: the update rule with its constants, and what comes before and after it."""
    extra_memory_analytic: int
    module: Module

    @property
    def graph(self) -> Graph:
        return self.module.graph


def effective_options(options: CompileOptions) -> CompileOptions:
    """What the options come to: of a float32 network the gradients are float32, its updates are rounded to
    nearest as all its operations are, and there is no quantization to scale gradients for."""
    if options.precision != "fp32":
        return options
    return replace(options, gradient="f32", rounding="nearest", qas=False)


def build_module(backbone: Backbone, scheme: Scheme, options: CompileOptions) -> tuple[Module, str]:
    """The complete training graph in execution order, verified after each pass; and the name of the order."""
    check_options(options)
    options = effective_options(options)
    module = verify(_lowered(backbone, scheme, options))
    module = verify(
        differentiate(
            module,
            LOSS,
            rounding=options.rounding,
            accumulate=options.accumulate,
            gradient=options.gradient,
            rule=UpdateRule(options.rule, options.momentum, options.convolution_rate),
        )
    )
    module = verify(prune(module))
    chosen = schedule(module.graph, lambda graph: peak_live_bytes(graph, choose_regions(graph)))
    return verify(module.with_graph(chosen.graph)), chosen.order


def _lowered(backbone: Backbone, scheme: Scheme, options: CompileOptions) -> Module:
    """The forward graph. Rules other than sgd know the rate of convolutions themselves."""
    rate = options.convolution_rate if options.rule == DEFAULT_RULE else 1.0
    if options.precision == "fp32":
        return lower_float(backbone, scheme, classes=options.classes, update_factor=rate)
    return lower(
        backbone,
        scheme,
        classes=options.classes,
        quantization_aware_scaling=options.qas,
        convolution_rate=rate,
    )


def compile_trainer(
    backbone: Backbone, scheme: Scheme, options: CompileOptions, out_dir: Path
) -> CompiledTrainer:
    """Compile to `out_dir`; the same input writes the same bytes. Raises EngineError's kinds."""
    options = effective_options(options)
    module, order = build_module(backbone, scheme, options)
    check_identifiers(module.graph)
    regions = choose_regions(module.graph)
    plan, offsets, table = plan_module(module, order, regions)
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
    updates = _describe_updates(options)
    facts = SourceFacts(
        network=backbone.name,
        scheme=scheme.name,
        description=scheme.description,
        plan_digest=digest,
        plan_table=table,
        arena_bytes=plan.arena_bytes,
        images_per_update=options.accumulate,
        rule=options.rule,
        updates=updates,
    )
    write_folder(
        out_dir,
        {
            "trainer.c": trainer_source(module, CEmitter(module.graph, offsets), facts, regions),
            "constants.h": constants_header(module),
            "constants.c": constants_source(module),
            "plan.json": plan_json,
            "graph.txt": text,
        },
        floating=is_floating(module.graph),
    )
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
        trainable_values=sum(tensor.elements for tensor in trained_state(module.graph)),
        updates=updates,
        extra_memory_analytic=extra_memory(scheme, backbone, 32 if options.precision == "fp32" else 8),
        module=module,
    )


def _describe_updates(options: CompileOptions) -> str:
    rule = options.rule
    if rule in ("momentum", "lars"):
        rule += f" {options.momentum:g}"
    images = "" if options.accumulate == 1 else f", every {options.accumulate} images"
    rate = (
        ""
        if options.convolution_rate == 1
        else f", convolutions at {options.convolution_rate:g} times the rate"
    )
    if options.precision == "fp32":
        return f"{rule}{images}{rate}; float32 weights"
    scaling = "with" if options.qas else "without"
    return f"{rule}{images}, {scaling} quantization-aware scaling{rate}; {options.rounding} rounding"


def check_options(options: CompileOptions) -> None:
    """Raise CodegenError for the first option that is out of range."""
    if options.rounding not in ROUNDINGS:
        raise CodegenError(f"rounding {options.rounding!r}; known are {', '.join(ROUNDINGS)}")
    if options.gradient not in GRADIENTS:
        raise CodegenError(f"gradient {options.gradient!r}; known are {', '.join(GRADIENTS)}")
    if not 2 <= options.classes <= 4096:
        raise CodegenError(f"{options.classes} classes; a classifier needs 2 to 4096")
    if options.rule not in RULES:
        raise CodegenError(f"update rule {options.rule!r}; known are {', '.join(RULES)}")
    if options.precision not in PRECISIONS:
        raise CodegenError(f"precision {options.precision!r}; known are {', '.join(PRECISIONS)}")
    if not 0 <= options.momentum < 1:
        raise CodegenError(f"momentum {options.momentum}; it has to be at least 0 and less than 1")
    largest = _LARGEST_RATE_FACTOR
    if not 1 / largest <= options.convolution_rate <= largest:
        raise CodegenError(
            f"convolutions at {options.convolution_rate} times the learning rate; {1 / largest:g} to"
            f" {largest:g} is possible"
        )
    if not 1 <= options.accumulate <= 65535:
        raise CodegenError(f"accumulation over {options.accumulate} images; 1 to 65535 are possible")
