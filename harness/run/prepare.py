"""From a method to the firmware of every target it is to run on: compile once, build once a target."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

from engine.compiler import CompiledTrainer, CompileOptions, compile_trainer
from engine.frontends import load_backbone
from engine.schemes import load_scheme
from harness.provenance import PROJECT_ROOT
from harness.results.document import MemoryPlan, SchemeSummary
from harness.suite import Method
from harness.trainers.ask import ForeignTrainer

SCHEME_LIBRARY = PROJECT_ROOT / "fixtures" / "schemes"


@dataclass(frozen=True)
class Trainer:
    """A compiled trainer as the harness needs it: picklable, without the graph. Sizes in bytes."""

    folder: Path
    plan: MemoryPlan | None
    """None: a trainer that was not compiled here."""
    plan_digest: str
    scheme: SchemeSummary
    arena_bytes: int
    state_bytes: int


def compile_method(
    backbone_path: Path, method: Method, *, classes: int, rounding: str, gradient: str, folder: Path
) -> Trainer:
    """Compile the scheme of `method` for the backbone into `folder`; raises EngineError's kinds."""
    backbone = load_backbone(backbone_path)
    scheme = load_scheme(method.scheme_name, backbone, SCHEME_LIBRARY)
    options = CompileOptions(
        classes=classes,
        rounding=rounding,
        gradient=gradient,
        qas=method.quantization_aware_scaling,
        accumulate=method.accumulate,
        rule=method.rule,
        momentum=method.momentum,
        convolution_rate=method.convolution_rate,
        precision=method.precision,
    )
    compiled = compile_trainer(backbone, scheme, options, folder)
    return describe_trainer(compiled, method)


def describe_foreign(foreign: ForeignTrainer, method: Method) -> Trainer:
    """A trainer that a user brought: what is not known of it stays 0; its document says that it is one."""
    summary = SchemeSummary.model_validate(
        {
            "method": method.name,
            "description": foreign.declared.description,
            "updated_bias_layers": 0,
            "updated_weight_layers": (),
            "trainable_values": 0,
            "rounding": method.rounding,
            "gradient": method.gradient,
            "learning_rate": method.learning_rate,
            "quantization_aware_scaling": method.quantization_aware_scaling,
            "extra_memory_analytic": 0,
        }
    )
    info = foreign.info
    return Trainer(
        foreign.declared.folder, None, info.plan_digest, summary, info.arena_bytes, info.state_bytes
    )


def for_method(trainer: Trainer, method: Method) -> Trainer:
    """`trainer`, compiled for a method of the same scheme and options, under the name of this one."""
    named = {"method": method.name, "learning_rate": method.learning_rate}
    return replace(trainer, scheme=trainer.scheme.model_copy(update=named))


def describe_trainer(compiled: CompiledTrainer, method: Method) -> Trainer:
    """The facts of `compiled` that a run document holds."""
    summary = SchemeSummary.model_validate(
        {
            "method": method.name,
            "description": compiled.scheme.description,
            "updated_bias_layers": compiled.updated_bias_layers,
            "updated_weight_layers": compiled.updated_weight_layers,
            "trainable_values": compiled.trainable_values,
            "rounding": compiled.options.rounding,
            "gradient": compiled.options.gradient,
            "learning_rate": method.learning_rate,
            "accumulate": compiled.options.accumulate,
            "quantization_aware_scaling": compiled.options.qas,
            "rule": compiled.options.rule,
            "momentum": compiled.options.momentum,
            "convolution_rate": compiled.options.convolution_rate,
            "precision": compiled.options.precision,
            "extra_memory_analytic": compiled.extra_memory_analytic,
        }
    )
    return Trainer(
        folder=compiled.folder,
        plan=MemoryPlan.model_validate(asdict(compiled.plan)),
        plan_digest=compiled.plan_digest,
        scheme=summary,
        arena_bytes=compiled.arena_bytes,
        state_bytes=compiled.state_bytes,
    )
