"""A trainer folder stands alone: it compiles anywhere, warns nobody, and stays inside its memory."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_networks import CLASSES, image, schemes, tiny_backbone
from trainer_builds import FLAGS, STRICT, run

from engine.autodiff import GRADIENTS
from engine.codegen.folder import FLOATING, RUNTIME, write_folder
from engine.compiler import CompiledTrainer, CompileOptions, compile_trainer
from engine.errors import CodegenError
from engine.frontends.backbone import Backbone
from engine.interpreter import LARGEST_LEARNING_RATE, Interpreter
from engine.lowering import LOGITS, LOSS
from engine.schemes import Scheme
from engine.update_rules import RULES

DRIVER = Path(__file__).with_name("driver.c")
MARKS = """
#include <stdio.h>
#include "trainer.h"
void trainer_profile_mark(uint32_t operator_index);
void trainer_profile_start(void);
void trainer_profile_start(void) { printf("start\\n"); }
void trainer_profile_mark(uint32_t operator_index) { printf("%u\\n", (unsigned)operator_index); }
int main(void) {
  trainer_reset(1u);
  trainer_train_step(0u);
  return 0;
}
"""


@pytest.fixture(scope="module", params=[*GRADIENTS, "fp32", "adam", "lars"])
def compiled(
    backbone: Backbone, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> CompiledTrainer:
    if request.param == "fp32":
        options = CompileOptions(classes=CLASSES, accumulate=2, precision="fp32")
    elif request.param in RULES:
        options = CompileOptions(classes=CLASSES, rule=request.param)
    else:
        options = CompileOptions(classes=CLASSES, rounding="extended", accumulate=2, gradient=request.param)
    folder = tmp_path_factory.mktemp("alone") / "trainer"
    return compile_trainer(backbone, schemes(backbone)["sparse"], options, folder)


def need(command: str) -> None:
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")


@pytest.mark.parametrize(
    "command",
    [
        ["gcc", "-O2"],
        ["clang", "-O1"],
        ["arm-none-eabi-gcc", "-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16", "-O2"],
        ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=soft", "-Os"],
    ],
    ids=["gcc", "clang", "cortex-m7", "cortex-m4"],
)
def test_it_compiles_alone_without_a_warning(
    compiled: CompiledTrainer, tmp_path: Path, command: list[str]
) -> None:
    need(command[0])
    alone = tmp_path / "elsewhere"
    shutil.copytree(compiled.folder, alone)
    sources = sorted(path.name for path in alone.glob("*.c"))
    assert {"trainer.c", "constants.c", "tb_conv2d.c"} <= set(sources)
    run([*command, *FLAGS, *STRICT, "-c", *sources], alone)


def test_it_stays_inside_its_memory_and_defined_behaviour(compiled: CompiledTrainer, tmp_path: Path) -> None:
    """A few steps under both sanitizers, driven through trainer.h alone, give what the interpreter gives."""
    need("gcc")
    sanitizers = ["gcc", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    program = tmp_path / "program"
    sources = [*sorted(compiled.folder.glob("*.c")), DRIVER]
    options = [*FLAGS, *STRICT, "-I", str(compiled.folder)]
    run([*sanitizers, *options, *map(str, sources), "-o", str(program)])
    interpreter = Interpreter(compiled.module, images_per_update=compiled.options.accumulate)
    for learning_rate in (0.3, LARGEST_LEARNING_RATE):
        interpreter.reset(7)
        interpreter.learning_rate = learning_rate
        stdin, expected = np.float32(learning_rate).tobytes(), b""
        for step in range(50):
            values = interpreter.values(image(step), step % CLASSES)
            stdin += bytes([step % CLASSES]) + image(step).tobytes()
            expected += np.float32(values[LOSS]).tobytes() + values[LOGITS].tobytes()
        assert run([str(program)], stdin=stdin) == expected + interpreter.state_bytes()


def test_the_profile_marks_every_operator_in_order(compiled: CompiledTrainer, tmp_path: Path) -> None:
    need("gcc")
    source, program = tmp_path / "marks.c", tmp_path / "marks"
    source.write_text(MARKS)
    sources = [*sorted(compiled.folder.glob("*.c")), source]
    options = [*FLAGS, *STRICT, "-DTRAINER_PROFILE", "-I", str(compiled.folder)]
    run(["gcc", *options, *map(str, sources), "-o", str(program)])
    start, *marks = run([str(program)]).decode().split()
    assert start == "start"
    streamed = {i for region in compiled.plan.regions for i in range(region.first, region.last)}
    once = [mark for mark in map(int, marks) if mark not in streamed]
    assert once == [i for i in range(len(compiled.graph.operators) + 1) if i not in streamed]
    assert streamed <= set(map(int, marks))


HOSTILE = '*/ #error "evil" /* ??/\n */ \\'


def test_hostile_names_are_inert(tmp_path: Path) -> None:
    """A network's or a scheme's name is text, in comments and in strings, whatever it holds."""
    need("gcc")
    backbone = replace(tiny_backbone(), name=HOSTILE)
    scheme = Scheme(HOSTILE, f"{HOSTILE}\n#error {HOSTILE}", 1, ())
    folder = tmp_path / "trainer"
    compile_trainer(backbone, scheme, CompileOptions(classes=3), folder)
    program, source = tmp_path / "names", tmp_path / "names.c"
    source.write_text(
        '#include <stdio.h>\n#include "trainer.h"\n'
        'int main(void) { printf("%s|%s", trainer_info()->network, trainer_info()->scheme); return 0; }\n'
    )
    sources = [*sorted(folder.glob("*.c")), source]
    run(["gcc", *FLAGS, *STRICT, "-I", str(folder), *map(str, sources), "-o", str(program)])
    assert run([str(program)]).decode() == f"{HOSTILE}|{HOSTILE}"


def test_it_holds_the_runtime_and_nothing_else(compiled: CompiledTrainer) -> None:
    runtime = {path.name for path in RUNTIME.iterdir() if path.suffix in (".c", ".h")}
    if compiled.options.precision == "int8":
        runtime = {name for name in runtime if not name.startswith(FLOATING)}
    generated = {"trainer.c", "constants.c", "constants.h", "plan.json", "graph.txt", "README.txt"}
    assert {path.name for path in compiled.folder.iterdir()} == runtime | generated


def test_an_earlier_trainer_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "trainer"
    write_folder(folder, {"trainer.c": "1"})
    (folder / "tb_gone.c").write_text("a kernel of an earlier version")
    (folder / "notes.txt").write_text("mine")
    write_folder(folder, {"trainer.c": "2"})
    assert (folder / "trainer.c").read_text() == "2"
    assert not (folder / "tb_gone.c").exists()
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text("int main(void) { return 0; }")
    (tmp_path / "README.txt").write_text("my project")
    with pytest.raises(
        CodegenError, match="holds files that are no trainer's; choose a new or an empty folder"
    ):
        write_folder(tmp_path, {"trainer.c": "1"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.txt", "main.c"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        CodegenError, match=r"trainer folder .*file.trainer cannot be written: Not a directory"
    ):
        write_folder(tmp_path / "file" / "trainer", {"trainer.c": "1"})
