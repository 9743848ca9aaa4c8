import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.devices.faults import (
    RECORD_MAGIC,
    FaultContext,
    FaultRecord,
    access_verb,
    explain,
    parse_record,
)
from harness.targets import Target

MMARVALID, BFARVALID = 1 << 7, 1 << 15


def record(cfsr: int, *, hfsr: int = 0, mmfar: int = 0, bfar: int = 0, pc: int = 0x100) -> FaultRecord:
    return FaultRecord(cfsr, hfsr, mmfar, bfar, pc, 0)


STR_R1_R0 = b"\x01\x60"


@pytest.mark.parametrize(
    ("fault", "context", "expected"),
    [
        (
            record(1 << 1 | MMARVALID, mmfar=0x20050000),
            FaultContext(STR_R1_R0, "train_step", sram_budget=128 * 1024),
            "memory protection fault: the firmware wrote 0x20050000, outside its 128 KB budget"
            " (pc 0x00000100 in train_step)",
        ),
        (
            record(1 << 1 | MMARVALID, mmfar=0x20050000),
            FaultContext(STR_R1_R0, "train_step"),
            "memory protection fault: the firmware wrote 0x20050000, which is in ram but not allowed"
            " (pc 0x00000100 in train_step)",
        ),
        (
            record(1 << 1 | MMARVALID, mmfar=0x1FFFFFF8),
            FaultContext(STR_R1_R0, stack_bottom=0x20000000),
            "memory protection fault: the firmware wrote 0x1ffffff8, just below its stack, which has"
            " overflowed (pc 0x00000100)",
        ),
        (
            record(1 << 9 | BFARVALID, bfar=0x61000000),
            FaultContext(),
            "bus fault: the firmware accessed 0x61000000, outside the memory of test-cortex-m7"
            " (pc 0x00000100)",
        ),
        (
            record(1 << 1 | MMARVALID, mmfar=4),
            FaultContext(b"\x01\x68"),
            "memory protection fault: the firmware read 0x00000004, through a null pointer (pc 0x00000100)",
        ),
        (
            record(1 << 4, pc=0),
            FaultContext(),
            "stack overflow: an exception frame could not be pushed: the stack runs into protected memory"
            " (pc not recorded)",
        ),
        (record(1 << 25), FaultContext(), "usage fault: the firmware divided by zero (pc 0x00000100)"),
        (
            record(0, hfsr=1 << 1),
            FaultContext(),
            "hard fault: the vector table cannot be read (pc 0x00000100)",
        ),
        (
            record(1 << 1 | MMARVALID, mmfar=0x3000),
            FaultContext(STR_R1_R0),
            "memory protection fault: the firmware wrote 0x00003000, which is in flash but not allowed"
            " (pc 0x00000100)",
        ),
    ],
)
def test_faults_in_words(
    fault: FaultRecord, context: FaultContext, expected: str, qemu_target: Callable[..., Target]
) -> None:
    assert explain(fault, qemu_target(), context) == expected


@given(st.tuples(*[st.integers(0, 2**32 - 1)] * 6), st.binary(max_size=4))
def test_any_registers_make_one_sentence(words: tuple[int, ...], instruction: bytes) -> None:
    target = Target.model_construct(name="t", regions=(), budget=None)
    sentence = explain(FaultRecord(*words), target, FaultContext(instruction))
    assert sentence and "\n" not in sentence and "{" not in sentence


def test_a_record_without_its_magic_is_no_record() -> None:
    words = (1, 2, 3, 4, 5, 6)
    assert parse_record(struct.pack("<7I", RECORD_MAGIC, *words)) == FaultRecord(*words)
    assert parse_record(bytes(28)) is None


ASSEMBLY = {
    "str r0, [r1, #4]": "wrote",
    "strb r0, [r1, r2]": "wrote",
    "strh r0, [r1]": "wrote",
    "str r0, [sp, #8]": "wrote",
    "stm r0!, {r1, r2}": "wrote",
    "push {r4, lr}": "wrote",
    "str.w r8, [r1, #2048]": "wrote",
    "strd r0, r1, [r2]": "wrote",
    "vstr s0, [r0]": "wrote",
    "ldr r0, [r1, #4]": "read",
    "ldrsh r0, [r1, r2]": "read",
    "ldr r0, [pc, #4]": "read",
    "ldm r0!, {r1, r2}": "read",
    "pop {r4, pc}": "read",
    "ldrsb.w r8, [r1, #-4]": "read",
    "ldrd r0, r1, [r2]": "read",
    "vldr d0, [r0]": "read",
    "vldmia r0!, {s0-s3}": "read",
    "mov r0, r1": "accessed",
    "add.w r8, r9, r10": "accessed",
    "bl .": "accessed",
}


@pytest.mark.skipif(shutil.which("arm-none-eabi-as") is None, reason="arm-none-eabi-as is not installed")
def test_loads_and_stores_are_told_apart_as_the_assembler_encodes_them(tmp_path: Path) -> None:
    source = tmp_path / "a.s"
    lines = "".join(f".balign 16\n{text}\n" for text in ASSEMBLY)
    source.write_text(f".syntax unified\n.cpu cortex-m7\n.fpu fpv5-sp-d16\n.thumb\n{lines}.balign 16\n")
    subprocess.run(["arm-none-eabi-as", source, "-o", tmp_path / "a.o"], check=True, timeout=30)
    subprocess.run(
        ["arm-none-eabi-objcopy", "-O", "binary", tmp_path / "a.o", tmp_path / "a.bin"],
        check=True,
        timeout=30,
    )
    code = (tmp_path / "a.bin").read_bytes()
    found = {text: access_verb(code[16 * n : 16 * n + 4]) for n, text in enumerate(ASSEMBLY)}
    assert found == ASSEMBLY
