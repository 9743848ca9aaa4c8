"""Update rules: the generated C gives the bits of the interpreter, at every rounding and learning rate."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from small_networks import all_groups, full, image, schemes, sparse, sparse_wide, tiny_backbone, wide_backbone
from test_bit_exact import COMMANDS, LEARNING_RATE, built, unmoved
from trainer_builds import KernelObjects

from engine import compiler
from engine.autodiff import GRADIENTS
from engine.frontends.backbone import Backbone
from engine.graph import Role
from engine.interpreter import LARGEST_LEARNING_RATE
from engine.schemes import Scheme

RULES = ("momentum", "adam", "lars")
"""Those that keep something."""
RATES = {"momentum": 2 * LEARNING_RATE, "adam": 2.0, "lars": 300.0}
"""At which a few steps move every trained tensor of the small networks."""
ROUNDINGS = ("nearest", "stochastic", "extended")
GCC = COMMANDS["gcc -O2"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("rounding", "gradient", "accumulate", "qas"), [*product(ROUNDINGS, GRADIENTS, (1, 3), (True, False))]
)
def test_every_combination(
    kernel_objects: KernelObjects,
    tmp_path: Path,
    rule: str,
    rounding: str,
    gradient: str,
    accumulate: int,
    qas: bool,
) -> None:
    backbone = tiny_backbone()
    scheme = Scheme("some", "", 2, ((1, 0.5), (2, 0.5)))
    compiled, c = built(
        backbone,
        scheme,
        kernel_objects,
        tmp_path,
        GCC,
        rounding=rounding,
        gradient=gradient,
        accumulate=accumulate,
        qas=qas,
        rule=rule,
        convolution_rate=1.0 if qas else 1e6,
    )
    images = [image(seed, backbone.input_size) for seed in range(4 * accumulate + 1)]
    assert unmoved(compiled, c, images, 10 * RATES[rule]) == []


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("scheme_name", "rounding", "gradient", "accumulate"),
    [
        ("full", "stochastic", "i16", 1),
        ("full", "extended", "f32", 3),
        ("sparse", "stochastic", "f32", 1),
        ("sparse", "extended", "i16", 2),
        ("last-layer", "nearest", "i16", 1),
    ],
)
def test_small_network(
    backbone: Backbone,
    kernel_objects: KernelObjects,
    tmp_path: Path,
    rule: str,
    scheme_name: str,
    rounding: str,
    gradient: str,
    accumulate: int,
) -> None:
    scheme = schemes(backbone)[scheme_name]
    options = {"rounding": rounding, "gradient": gradient, "accumulate": accumulate, "rule": rule}
    compiled, c = built(backbone, scheme, kernel_objects, tmp_path, GCC, **options)
    assert unmoved(compiled, c, [image(seed) for seed in range(5 * accumulate)], RATES[rule]) == []


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_groups_of_channels(
    kernel_objects: KernelObjects,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    gradient: str,
    accumulate: int,
) -> None:
    backbone = wide_backbone()
    monkeypatch.setattr(compiler, "choose_regions", lambda graph: all_groups(graph, 16))
    options = {"gradient": gradient, "rule": rule, "rounding": "extended", "accumulate": accumulate}
    compiled, c = built(backbone, sparse_wide(backbone), kernel_objects, tmp_path, GCC, **options)
    grouped = {
        op.kind.removesuffix("_i16")
        for region in all_groups(compiled.graph, 16)
        for op in compiled.graph.operators[region.first : region.last]
    }
    assert {"bias_update", "conv2d_update"} <= grouped
    assert unmoved(compiled, c, [image(seed) for seed in range(4 * accumulate)], RATES[rule]) == []


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("rule", RULES)
def test_every_compiler(
    backbone: Backbone, kernel_objects: KernelObjects, tmp_path: Path, command: tuple[str, ...], rule: str
) -> None:
    compiled, c = built(backbone, sparse(backbone), kernel_objects, tmp_path, command, rule=rule)
    assert unmoved(compiled, c, [image(seed) for seed in range(8)], RATES[rule]) == []


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_hostile_learning_rates(
    backbone: Backbone, kernel_objects: KernelObjects, tmp_path: Path, rule: str, gradient: str
) -> None:
    """Everything saturates alike, and nothing becomes infinite: `unmoved` checks the losses."""
    options = {"rule": rule, "gradient": gradient, "convolution_rate": 1e12, "qas": False}
    compiled, c = built(backbone, full(backbone), kernel_objects, tmp_path, GCC, **options)
    for learning_rate in (LARGEST_LEARNING_RATE, -LARGEST_LEARNING_RATE, 1e4, 1e-38, 0.0):
        unmoved(compiled, c, [image(seed) for seed in range(3)], learning_rate)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_float32_networks(
    backbone: Backbone, kernel_objects: KernelObjects, tmp_path: Path, rule: str, accumulate: int
) -> None:
    options = {"rule": rule, "precision": "fp32", "accumulate": accumulate, "convolution_rate": 0.5}
    compiled, c = built(backbone, sparse(backbone), kernel_objects, tmp_path, GCC, **options)
    assert unmoved(compiled, c, [image(seed) for seed in range(4 * accumulate)], 0.01) == []
    for learning_rate in (LARGEST_LEARNING_RATE, -LARGEST_LEARNING_RATE, 1e-38):
        unmoved(compiled, c, [image(seed) for seed in range(2 * accumulate)], learning_rate / accumulate)


@pytest.mark.parametrize("rule", RULES)
def test_a_reset_forgets_what_the_rule_keeps(
    kernel_objects: KernelObjects, tmp_path: Path, rule: str
) -> None:
    backbone = tiny_backbone()
    _, c = built(backbone, full(backbone), kernel_objects, tmp_path, GCC, rule=rule)
    runs = []
    for _ in range(2):
        c.reset(7, RATES[rule])
        losses = [c.train_step(image(step, backbone.input_size), step % 4) for step in range(5)]
        runs.append((losses, c.state()))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("rule", RULES)
def test_what_a_rule_keeps_is_state_and_not_trained(
    kernel_objects: KernelObjects, tmp_path: Path, rule: str
) -> None:
    backbone = tiny_backbone()
    plain, _ = built(backbone, full(backbone), kernel_objects, _made(tmp_path / "sgd"), GCC)
    compiled, _ = built(backbone, full(backbone), kernel_objects, _made(tmp_path / rule), GCC, rule=rule)
    kept = compiled.state_bytes - plain.state_bytes
    assert compiled.trainable_values == plain.trainable_values
    assert kept == {"momentum": 4, "adam": 8, "lars": 8}[rule] * plain.trainable_values
    names = [tensor.name for tensor in plain.graph.with_role(Role.STATE)]
    assert [tensor.name for tensor in compiled.graph.with_role(Role.STATE)][: len(names)] == names
    source = (compiled.folder / "trainer.c").read_text("utf-8")
    assert f"\n * Updates: {compiled.updates}.\n" in source
    constants = {"momentum": "momentum 0.9", "adam": "adam", "lars": "lars 0.9"}[rule]
    assert compiled.updates == f"{constants}, with quantization-aware scaling; stochastic rounding"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
