"""`trainbench profile BACKBONE --scheme S --target T`: where the ticks and the bytes of a step go."""

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
    StepTimeoutOption,
    UnscaledOption,
)


def profile(
    backbone: Annotated[str, typer.Argument(help="A network: .npz, .pkl, or the name of a shipped one.")],
    scheme: Annotated[
        str, typer.Option("--scheme", "-s", help="A scheme's name, such as sparse-49kb, or a .toml file.")
    ],
    target: Annotated[str, typer.Option("--target", "-t", help="Where to run; see `trainbench targets`.")],
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
    steps: Annotated[int, typer.Option("--steps", min=1, help="Training steps to run.")] = 5,
    csv: Annotated[bool, typer.Option("--csv", help="Print figures as CSV and nothing else.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with charts too.")
    ] = None,
    step_timeout: StepTimeoutOption = None,
) -> None:
    """Run a few training steps of a scheme on a target, on noise, and print where ticks and SRAM go.

    Ticks per operator come from a build that reads the clock before each; all else from one that does not.
    """
    from engine.compiler import DEFAULT_GRADIENT, CompileOptions, check_options
    from harness.backbones import backbone_file
    from harness.profile.figures import profile_figures
    from harness.profile.run import ProfileRequest, profile_scheme
    from harness.profile.tables import print_profile
    from harness.progress import busy
    from harness.run.request import check_gradients, check_roundings, check_targets
    from harness.run.session import STEP_SECONDS
    from harness.work_folder import work_folder

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
    check_targets((target,))
    request = ProfileRequest(
        backbone=backbone_file(backbone),
        scheme=scheme,
        classes=classes,
        target=target,
        rounding=options.rounding,
        gradient=options.gradient,
        accumulate=accumulate,
        qas=not no_qas,
        rule=rule,
        momentum=momentum,
        convolution_rate=convolution_rate,
        precision=precision,
        steps=steps,
        step_seconds=step_timeout or STEP_SECONDS,
    )
    with busy(f"profiling {scheme} on {target}"), work_folder("profile") as folder:
        run = profile_scheme(request, folder, lambda done, total: None)
    if csv:
        typer.echo(profile_figures(run).to_csv(index=False), nl=False)
    else:
        print_profile(run)
    if html is not None:
        from harness.results.store import write_atomically
        from reports.profile import render_profile

        write_atomically(html, render_profile(run))
        if not csv:
            typer.echo(f"page: {html}")
