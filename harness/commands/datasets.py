"""`trainbench datasets SPEC`: what a dataset holds, before a run trains on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fixtures.datasets import Dataset

PARTS = ("training", "validation", "test")


def datasets(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A dataset, as --dataset of other commands.")],
    size: Annotated[
        int, typer.Option("--size", min=1, help="Pixels a side, as the network takes them.")
    ] = 128,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Read the dataset SPEC whole, check it, and print its digest and its pictures by part and class.

    A picture of the test part that is in another part too, pixel for pixel, is named.
    """
    from fixtures.datasets import load_dataset
    from fixtures.datasets.dataset import tested_and_learned
    from harness.progress import busy

    with busy("reading the dataset") as report:
        dataset = load_dataset(spec, size, report)
        repeated = tested_and_learned(dataset)
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "name": dataset.name,
                    "description": dataset.description,
                    "digest": dataset.digest,
                    "size": size,
                    "classes": _counts(dataset),
                    "tested_and_learned": repeated,
                },
                indent=2,
            )
        )
        return
    typer.echo(f"{dataset.name}: {dataset.description}\ndigest at {size}x{size}: {dataset.digest}")
    _print_counts(dataset)
    if repeated:
        typer.echo(
            f"note: {len(repeated)} pictures of the test part are in another part too, such as "
            f"{repeated[0][0]}, which is {repeated[0][1]}; accuracy on them says little",
            err=True,
        )


def _counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """By class and part, in the order of the labels."""
    parts = dict(zip(PARTS, (dataset.train, dataset.validation, dataset.test), strict=True))
    return {
        name: {part: int((dataset.labels[positions] == label).sum()) for part, positions in parts.items()}
        for label, name in enumerate(dataset.class_names)
    }


def _print_counts(dataset: Dataset) -> None:
    from rich.markup import escape

    from harness.console import plain_table, print_whole

    table = plain_table(("class",), PARTS)
    counts = _counts(dataset)
    for name, row in counts.items():
        table.add_row(escape(name), *(str(row[part]) for part in PARTS))
    table.add_row("all", *(str(sum(row[part] for row in counts.values())) for part in PARTS))
    print_whole(table)
