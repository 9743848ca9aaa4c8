"""`trainbench targets`: what can be run on here, what is missing, and how to get it."""

from __future__ import annotations

import typer


def targets() -> None:
    """List all targets, with what each needs, whether that is installed, and how to get it."""
    from harness.devices.availability import availability
    from harness.targets import load_target, target_names

    for name in target_names():
        target = load_target(name)
        found = availability(target)
        typer.echo(f"{name}: {target.title}, {'ready' if found.usable else 'not usable'}")
        for need in found.requirements:
            if need.path is not None:
                state = f"installed, {need.path}"
            elif need.optional:
                state = f"missing (optional); to get it: {need.hint}"
            else:
                state = f"missing; to get it: {need.hint}"
            typer.echo(f"  {need.program} ({need.purpose}): {state}")
