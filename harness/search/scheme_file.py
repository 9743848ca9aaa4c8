"""A scheme as the TOML file that `--scheme` reads, with where it comes from in comments."""

from __future__ import annotations

import json
from collections.abc import Sequence

from engine.schemes import Scheme


def scheme_toml(scheme: Scheme, comments: Sequence[str] = ()) -> str:
    """Text of the file. Comments are cut at line ends: none of them can become a key."""
    lines = [f"# {line}" for comment in comments for line in (comment.splitlines() or [""])]
    lines += [f"name = {_quoted(scheme.name)}", f"description = {_quoted(scheme.description)}"]
    lines += [f"selection = {_quoted(scheme.selection)}"]
    if scheme.network is not None:
        lines += ["", "[network]", f"convolutions = {scheme.network[0]}"]
        lines += [f"convolution_weights = {scheme.network[1]}"]
    lines += ["", "[bias]", f"last = {scheme.bias_last}", "", "[weights]"]
    lines += [f"{number} = {ratio!r}" for number, ratio in scheme.weights]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are among its own, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
