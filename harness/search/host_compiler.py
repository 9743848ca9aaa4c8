"""Which compiler builds trials."""

from __future__ import annotations

from harness.errors import ToolMissingError
from harness.firmware.toolchain import Compiler, find_compiler
from harness.targets import Target


def host_compiler(target: Target) -> Compiler:
    """The first of the target's compilers that is installed; ToolMissingError where none is.

    A trainer computes the same bits with each of them: which one it was decides only how long it takes.
    """
    missing: list[ToolMissingError] = []
    for name in target.toolchain.compilers:
        try:
            return find_compiler(target, name)
        except ToolMissingError as error:
            missing.append(error)
    raise missing[0]
