"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BackboneOption = Annotated[
    Path | None,
    typer.Option(
        "--backbone", metavar="FILE", help="A network: .npz of trainbench or .pkl of tiny-training."
    ),
]
DATASET_HELP = "lfw, coco-mix:PATH.npz, vww:COCO_FOLDER, folder:PATH or cifar10:PATH; see docs/datasets.md."
DatasetOption = Annotated[str | None, typer.Option("--dataset", metavar="SPEC", help=DATASET_HELP)]
RoundingOption = Annotated[
    str | None, typer.Option("--rounding", help="Of weight updates: nearest, stochastic or extended.")
]
GradientOption = Annotated[
    str | None,
    typer.Option("--gradient", help="Gradients of feature maps: f32 or i16; default: the compiler's."),
]
RuleOption = Annotated[str, typer.Option("--rule", help="Of updates: sgd, momentum, adam or lars.")]
MomentumOption = Annotated[
    float, typer.Option("--momentum", metavar="M", help="Of rules momentum and lars: 0 or more, less than 1.")
]
ConvolutionRateOption = Annotated[
    float,
    typer.Option(
        "--convolution-rate", metavar="X", help="Learning rate of convolutions over that of the classifier."
    ),
]
UnscaledOption = Annotated[
    bool, typer.Option("--no-qas", help="Without quantization-aware scaling of gradients.")
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision", help="Of the network: int8, or fp32: dequantized, float32 gradients, no QAS."
    ),
]
EpochsOption = Annotated[
    int | None, typer.Option("--epochs", min=1, help="Epochs after the warm-up, for every method.")
]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, help="Cells at once; default: the processor cores.")
]
StepTimeoutOption = Annotated[
    float | None,
    typer.Option("--step-timeout", metavar="SECONDS", help="After so long a step counts as a hang."),
]
