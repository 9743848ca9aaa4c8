from __future__ import annotations

import ctypes
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from trainer_builds import STRICT, run

from engine.codegen.c_text import comment, float_literal, identifier, string_literal
from engine.errors import CodegenError

HOSTILE = [
    "*/ int evil; /*",
    "*??/\n/ int evil;",
    '"; int evil; "',
    "\\",
    "\\\n*/",
    "??/",
    "%s\0\r\n\t",
    "ünïcödé ☃ \u2028*/",
    "**//",
    "/*/",
    "??'??(??)??<??>??=??!??-",
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("block01.pointwise1.weight", "block01_pointwise1_weight"),
        ("0.bias", "n0_bias"),
        ("a-b:c", "a_b_c"),
        ("größe", "gr__e"),
    ],
)
def test_identifiers(name: str, expected: str) -> None:
    assert identifier(name) == expected


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(-0.0)
@example(1e-45)
@example(3.4028234663852886e38)
@example(1e22)
@example(16777216.0)
def test_float_literals_read_back(value: float) -> None:
    literal = float_literal(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f", literal)
    assert "." in literal or "e" in literal
    assert np.float32(literal[:-1]).tobytes() == np.float32(value).tobytes()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e39])
def test_what_is_no_finite_float32_is_refused(value: float) -> None:
    with pytest.raises(CodegenError, match="cannot be written as a float literal"):
        float_literal(value)


@given(st.text())
@example(HOSTILE[0])
@example(HOSTILE[8])
@example(HOSTILE[9])
def test_comments_are_inert(text: str) -> None:
    shown = comment(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert not any(mark in shown for mark in ("*/", "/*", "??"))
    assert not shown.endswith("\\")


def test_plain_text_is_shown_as_it_is() -> None:
    assert comment("mcunet-5fps: 5 * 3 / 2, what?") == "mcunet-5fps: 5 * 3 / 2, what?"
    assert string_literal("mcunet 5*3/2") == '"mcunet 5*3/2"'


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compilers_read_hostile_text_as_text(tmp_path: Path, compiler: str) -> None:
    """Strings come out byte for byte; comments hide all; nothing is warned about, trigraphs included."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    lines = [f"/* {comment(text)} */ {string_literal(text)}," for text in HOSTILE]
    source = tmp_path / "text.c"
    source.write_text(
        "extern const char *const texts[];\nconst char *const texts[] = {\n" + "\n".join(lines) + "};\n"
    )
    library = tmp_path / "text.so"
    run([compiler, "-std=c99", *STRICT, "-shared", "-fPIC", str(source), "-o", str(library)])
    found = (ctypes.c_char_p * len(HOSTILE)).in_dll(ctypes.CDLL(str(library)), "texts")
    assert list(found) == [text.encode().split(b"\0")[0] for text in HOSTILE]
