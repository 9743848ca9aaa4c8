"""The benchmark as a folder that implements trainer.h: the kernels twice, the cases as a table.

The reference is the same C files, compiled once more as plain C (no shim of tb_dsp.h is an instruction,
nothing is assembly) and with every name prefixed, so that both fit one firmware.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from engine.codegen.folder import RUNTIME
from harness.bench.cases import CONVOLUTIONS, DEPTHWISE, Case
from harness.errors import UsageError

FIRMWARE = Path(__file__).resolve().parent / "firmware"
MOST_CASES = 250
"""Each is a class of the trainer, whose logits have to fit one reply of the link."""
_FUNCTION = re.compile(r"\btb_\w+(?=\()|\btb_\w+_(?:i8|i16|f32)\b")
_MACRO = re.compile(r"#define (tb_\w+)")
_ALL_IN_ONE_PLACE = 0xFFFF


def write_bench(folder: Path, cases: Sequence[Case]) -> None:
    """Write everything the benchmark of `cases` is compiled from into the new folder `folder`."""
    if not 0 < len(cases) <= MOST_CASES:
        raise UsageError(f"a benchmark takes 1 to {MOST_CASES} cases, not {len(cases)}")
    folder.mkdir(parents=True)
    for source in (*sorted(RUNTIME.glob("*.[ch]")), *sorted(FIRMWARE.glob("*.[ch]"))):
        shutil.copyfile(source, folder / source.name)
    _write(folder / "cases.h", cases_header(cases))
    _write(folder / "functions.h", functions_header(cases))
    _write(folder / "reference.h", reference_header([*RUNTIME.glob("tb_*.[ch]")]))
    for kernel in sorted(RUNTIME.glob("tb_*.c")):
        _write(folder / f"reference_{kernel.name}", f'#include "reference.h"\n#include "{kernel.name}"\n')
    calls = '#include "reference.h"\n#define BENCH_RUN bench_run_reference\n#include "bench_kernels.c"\n'
    _write(folder / "reference_bench_kernels.c", calls)


def _functions(cases: Sequence[Case]) -> list[str]:
    return sorted({case.function for case in cases if case.function is not None})


def functions_header(cases: Sequence[Case]) -> str:
    """functions.h: the kernels that the compiler chooses for the cases, as a table of bench_kernels.c."""
    rows = "".join(f"    (bench_function_t *){name},\n" for name in _functions(cases))
    return f"static bench_function_t *const bench_functions[] = {{\n{rows}    0}};\n"


def cases_header(cases: Sequence[Case]) -> str:
    """cases.h: the table that bench.c indexes by label."""
    functions = _functions(cases)
    rows = "".join(f"    {_initializer(case, functions)},\n" for case in cases)
    return (
        f"#define BENCH_CASES {len(cases)}u\n\n"
        f"static const bench_case_t bench_cases[BENCH_CASES] = {{\n{rows}}};\n"
    )


def _initializer(case: Case, functions: list[str]) -> str:
    g = case.geometry
    weights = 0
    if case.kernel in CONVOLUTIONS:
        weights = g.kernel_height * g.kernel_width * g.out_channels
        weights *= 1 if case.kernel in DEPTHWISE else g.in_channels
    function = len(functions) if case.function is None else functions.index(case.function)
    trainable = _ALL_IN_ONE_PLACE if case.trainable is None else case.trainable
    geometry = (
        *(g.in_height, g.in_width, g.in_channels, g.out_height, g.out_width, g.out_channels),
        *(g.kernel_height, g.kernel_width, g.stride, g.padding, g.padding),
    )
    return (
        f"{{BENCH_{case.kernel.name}, {int(case.masked)}, {case.repeats}, {trainable}, {weights}u,"
        f" {case.scratch}u, {case.multiplier}, {function}, {{{', '.join(map(str, geometry))}, -3, 5, 0, 0}}}}"
    )


def reference_header(sources: Sequence[Path]) -> str:
    """reference.h: to be included before a kernel that is compiled as plain C."""
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    names = sorted({*_FUNCTION.findall(text)} - {*_MACRO.findall(text)})
    renamed = "".join(f"#define {name} reference_{name}\n" for name in names)
    return f"#undef __ARM_FEATURE_DSP\n#undef TB_DSP\n#define TB_DSP 0\n{renamed}"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
