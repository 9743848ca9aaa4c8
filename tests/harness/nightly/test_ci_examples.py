"""The CI examples are valid YAML, and call the command with options that it has."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml

from harness.cli import app

EXAMPLES = Path(__file__).parents[3] / "docs" / "ci"


def strings(value: object) -> Iterator[str]:
    """Every string in a YAML document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for part in value.values() for text in strings(part))
    elif isinstance(value, list):
        yield from (text for part in value for text in strings(part))


@pytest.mark.parametrize("name", ["github.yml", "gitlab-ci.yml"])
def test_an_example(name: str) -> None:
    document = yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))
    lines = [line.strip() for text in strings(document) for line in text.splitlines()]
    (call,) = [line for line in lines if line.startswith("trainbench nightly")]
    command = typer.main.get_command(app).commands["nightly"]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    used = set(re.findall(r"--[a-z-]+", call))
    assert used
    assert used <= known
    for text in strings(document):
        if "trainbench nightly" in text:
            subprocess.run(["bash", "-n", "-c", text], check=True)
