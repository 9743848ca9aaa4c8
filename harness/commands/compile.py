"""`trainbench compile BACKBONE --scheme S --out DIR`: a trainer folder that stands alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.update_rules import DEFAULT_MOMENTUM, DEFAULT_PRECISION, DEFAULT_RULE
from harness.commands.options import (
    ConvolutionRateOption,
    GradientOption,
    MomentumOption,
    PrecisionOption,
    RuleOption,
    UnscaledOption,
)


def compile_command(
    backbone: Annotated[str, typer.Argument(help="A network: .npz, .pkl, or the name of a shipped one.")],
    scheme: Annotated[
        str, typer.Option("--scheme", "-s", help="A scheme's name, such as sparse-49kb, or a .toml file.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the trainer to.")],
    classes: Annotated[int, typer.Option("--classes", min=2, help="Outputs of the new classifier.")] = 2,
    rounding: Annotated[
        str, typer.Option("--rounding", help="Of weight updates: nearest, stochastic or extended.")
    ] = "stochastic",
    gradient: GradientOption = None,
    accumulate: Annotated[int, typer.Option("--accumulate", min=1, help="Images per update.")] = 1,
    rule: RuleOption = DEFAULT_RULE,
    momentum: MomentumOption = DEFAULT_MOMENTUM,
    convolution_rate: ConvolutionRateOption = 1.0,
    no_qas: UnscaledOption = False,
    precision: PrecisionOption = DEFAULT_PRECISION,
) -> None:
    """Compile BACKBONE with an update scheme to C in a folder that stands alone; print the memory plan."""
    from engine.compiler import DEFAULT_GRADIENT, CompileOptions, check_options, compile_trainer
    from engine.frontends import load_backbone
    from engine.schemes import load_scheme
    from harness.backbones import backbone_file
    from harness.progress import busy
    from harness.run.prepare import SCHEME_LIBRARY
    from harness.run.request import check_gradients, check_roundings

    options = CompileOptions(
        classes=classes,
        rounding=rounding,
        gradient=gradient or DEFAULT_GRADIENT,
        qas=not no_qas,
        accumulate=accumulate,
        rule=rule,
        momentum=momentum,
        convolution_rate=convolution_rate,
        precision=precision,
    )
    check_roundings((options.rounding,))
    check_gradients((options.gradient,))
    check_options(options)
    network = load_backbone(backbone_file(backbone))
    chosen = load_scheme(scheme, network, SCHEME_LIBRARY)
    with busy(f"compiling {network.name}, {chosen.name}"):
        trainer = compile_trainer(network, chosen, options, out)
    typer.echo(trainer.plan_text)
    typer.echo(
        f"{out}: {trainer.network}, {precision}, {trainer.scheme.name}, {trainer.options.gradient} gradients,"
        f" {trainer.updates}; arena {trainer.arena_bytes} bytes (lower bound"
        f" {trainer.plan.lower_bound}, gap {trainer.plan.gap_bytes}), state {trainer.state_bytes} bytes,"
        f" extra memory (analytic) {trainer.extra_memory_analytic} bytes"
    )
