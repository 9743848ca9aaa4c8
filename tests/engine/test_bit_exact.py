"""The generated C gives the bits of the interpreter: state, logits and loss, step by step."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_networks import (
    CLASSES,
    image,
    photographs,
    schemes,
    shared_backbone,
    small_backbone,
)
from trainer_builds import CTrainer, KernelObjects

from engine.autodiff import GRADIENTS
from engine.compiler import CompiledTrainer, CompileOptions, compile_trainer
from engine.frontends import load_backbone
from engine.frontends.backbone import Backbone
from engine.graph import Role
from engine.interpreter import LARGEST_LEARNING_RATE, Interpreter
from engine.lowering import IMAGE, LOGITS, LOSS
from engine.operators.update_operands import trained_state
from engine.schemes import Scheme, load_scheme
from fixtures.schemes import LIBRARY

EMBEDDED = Path(__file__).parents[2] / "fixtures" / "backbones" / "mcunet-5fps-cifar10.npz"
SEED = 2**32 - 5
STEPS = 50
LEARNING_RATE = 0.3
"""So that a few steps move every trained tensor of the small networks, also under rounding to nearest."""

COMMANDS = {
    **{f"{name} -O{level}": (name, f"-O{level}") for name in ("gcc", "clang") for level in range(4)},
    "gcc -O2, DSP paths": ("gcc", "-O2", "-DTB_DSP=1"),
    "gcc -O3, this processor": ("gcc", "-O3", "-march=native"),
    "clang -O3, this processor": ("clang", "-O3", "-march=native"),
}


def built(
    backbone: Backbone,
    scheme: Scheme,
    objects: KernelObjects,
    folder: Path,
    command: tuple[str, ...],
    **options: object,
) -> tuple[CompiledTrainer, CTrainer]:
    chosen = CompileOptions(**{"classes": CLASSES, **options})  # type: ignore[arg-type]
    compiled = compile_trainer(backbone, scheme, chosen, folder / "trainer")
    library = objects.link(command, compiled.folder, folder / "trainer.so")
    image_bytes = compiled.graph.tensor(IMAGE).bytes
    return compiled, CTrainer(library, image_bytes, chosen.classes)


def unmoved(
    compiled: CompiledTrainer,
    c: CTrainer,
    images: list[NDArray[np.int8]],
    learning_rate: float = LEARNING_RATE,
) -> list[str]:
    """Both train on the images; after each step everything that can be seen is the same.

    Returns the trained tensors that did not move.
    """
    options = compiled.options
    interpreter = Interpreter(compiled.module, images_per_update=options.accumulate)
    interpreter.reset(SEED)
    learning_rate *= options.accumulate
    interpreter.learning_rate = learning_rate
    c.reset(SEED, learning_rate)
    start = c.state()
    assert b"".join(start.values()) == interpreter.state_bytes()
    for step, picture in enumerate(images):
        label = step % options.classes
        c.fill_arena(0xA5 if step % 2 else 0xFF)
        expected = interpreter.values(picture, label)
        loss = c.train_step(picture, label)
        assert np.float32(loss).tobytes() == np.float32(expected[LOSS]).tobytes(), f"loss of step {step}"
        assert c.logits().tobytes() == expected[LOGITS].tobytes(), f"logits of step {step}"
        for name, data in c.state().items():
            assert data == interpreter.state[name].tobytes(), f"{name} after step {step}"
        assert np.isfinite(loss)
    c.fill_arena(0xFF)
    assert c.predict(images[0]).tobytes() == interpreter.predict(images[0]).tobytes()
    assert list(start) == [tensor.name for tensor in compiled.graph.with_role(Role.STATE)]
    trained = [tensor.name for tensor in trained_state(compiled.graph)]
    return [name for name in trained if c.state()[name] == start[name]]


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize(
    ("scheme_name", "rounding", "accumulate"),
    [
        *product(("full",), ("nearest", "stochastic", "extended"), (1, 3)),
        *product(("sparse",), ("nearest", "stochastic", "extended"), (1, 3)),
        ("bias-only", "nearest", 1),
        ("bias-only", "stochastic", 3),
        ("last-layer", "stochastic", 1),
        ("last-layer", "extended", 3),
    ],
)
def test_small_network(
    backbone: Backbone,
    kernel_objects: KernelObjects,
    tmp_path: Path,
    scheme_name: str,
    rounding: str,
    accumulate: int,
    gradient: str,
) -> None:
    compiled, c = built(
        backbone,
        schemes(backbone)[scheme_name],
        kernel_objects,
        tmp_path,
        COMMANDS["gcc -O2"],
        rounding=rounding,
        accumulate=accumulate,
        gradient=gradient,
    )
    assert unmoved(compiled, c, [image(seed) for seed in range(4 * accumulate)]) == []


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("scheme_name", ["full", "sparse"])
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_every_compiler(
    backbone: Backbone,
    kernel_objects: KernelObjects,
    tmp_path: Path,
    command: tuple[str, ...],
    scheme_name: str,
    gradient: str,
) -> None:
    scheme = schemes(backbone)[scheme_name]
    options = {"rounding": "stochastic", "gradient": gradient}
    compiled, c = built(backbone, scheme, kernel_objects, tmp_path, command, **options)
    assert unmoved(compiled, c, [image(seed) for seed in range(STEPS)]) == []


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_other_weights(kernel_objects: KernelObjects, tmp_path: Path, seed: int, gradient: str) -> None:
    backbone = small_backbone(seed)
    compiled, c = built(
        backbone,
        schemes(backbone)["full"],
        kernel_objects,
        tmp_path,
        COMMANDS["gcc -O2"],
        rounding="extended",
        gradient=gradient,
    )
    assert unmoved(compiled, c, [image(10 * seed + step) for step in range(4)]) == []


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("rounding", ["nearest", "stochastic", "extended"])
def test_extreme_learning_rates(
    backbone: Backbone, kernel_objects: KernelObjects, tmp_path: Path, rounding: str, gradient: str
) -> None:
    """Everything saturates alike, and nothing overflows."""
    scheme = schemes(backbone)["full"]
    options = {"rounding": rounding, "gradient": gradient}
    compiled, c = built(backbone, scheme, kernel_objects, tmp_path, COMMANDS["gcc -O2"], **options)
    for learning_rate in (LARGEST_LEARNING_RATE, -LARGEST_LEARNING_RATE, 1e4, 1e-38):
        unmoved(compiled, c, [image(seed) for seed in range(3)], learning_rate)


def test_a_second_reset_starts_again(
    backbone: Backbone, kernel_objects: KernelObjects, tmp_path: Path
) -> None:
    _, c = built(backbone, schemes(backbone)["full"], kernel_objects, tmp_path, COMMANDS["gcc -O2"])
    runs = []
    for seed in (1, 1, 2):
        c.reset(seed, LEARNING_RATE)
        losses = [c.train_step(image(step), step) for step in range(3)]
        runs.append((losses, c.state()))
    assert runs[0] == runs[1]
    assert runs[1] != runs[2]  # the seed of stochastic rounding
    c.reset(1, 0.0)
    start = c.state()
    c.train_step(image(0), 0)
    assert c.state() == start


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("network", ["mcunet-5fps", "mbv2-w0.35", "proxyless-w0.3"])
def test_published_networks(
    kernel_objects: KernelObjects, tmp_path: Path, network: str, gradient: str
) -> None:
    backbone = shared_backbone(network)
    assert_network(backbone, photographs(3), kernel_objects, tmp_path, gradient)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_the_embedded_network(kernel_objects: KernelObjects, tmp_path: Path, gradient: str) -> None:
    if not EMBEDDED.exists():
        pytest.skip(f"{EMBEDDED} has not been made yet")
    backbone = load_backbone(EMBEDDED)
    images = [image(seed, backbone.input_size) for seed in range(3)]
    assert_network(backbone, images, kernel_objects, tmp_path, gradient)


def assert_network(
    backbone: Backbone,
    images: list[NDArray[np.int8]],
    objects: KernelObjects,
    folder: Path,
    gradient: str,
) -> None:
    scheme = load_scheme("sparse-49kb", backbone, LIBRARY)
    compiled, c = built(backbone, scheme, objects, folder, COMMANDS["gcc -O2"], classes=10, gradient=gradient)
    assert len(unmoved(compiled, c, images)) < len(c.state()) / 2
