"""Row streaming: what it keeps, and that the C gives the same bits however the forward pass is cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import CLASSES, full, image, longest_chains, schemes, small_backbone, training_module
from trainer_builds import CTrainer, KernelObjects

from engine import compiler
from engine.compiler import CompileOptions, compile_trainer
from engine.errors import PlanError
from engine.frontends.backbone import Backbone
from engine.graph import Graph
from engine.interpreter import Interpreter
from engine.lowering import IMAGE, LOGITS, LOSS
from engine.streaming import Region, chain_end, chain_input, internal_tensors, row_bytes, work_out


@pytest.fixture(scope="module")
def forward() -> Graph:
    """A graph of which nothing is needed again, so that all of it can be streamed."""
    backbone = small_backbone()
    return training_module(backbone, schemes(backbone)["last-layer"]).graph


@pytest.mark.parametrize("strip", [1, 2, 3, 100])
@pytest.mark.parametrize("scheme_name", ["last-layer", "bias-only", "sparse"])
@pytest.mark.parametrize("flags", [("-O2",), ("-O2", "-DTB_DSP=1")], ids=["plain", "dsp"])
def test_streamed_c_gives_the_bits_of_the_interpreter(
    backbone: Backbone,
    kernel_objects: KernelObjects,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme_name: str,
    strip: int,
    flags: tuple[str, ...],
) -> None:
    monkeypatch.setattr(compiler, "choose_regions", lambda graph: longest_chains(graph, strip))
    scheme = schemes(backbone)[scheme_name]
    compiled = compile_trainer(backbone, scheme, CompileOptions(classes=CLASSES), tmp_path / "trainer")
    streamed = sum(region.last - region.first for region in compiled.plan.regions)
    assert streamed > (3 if scheme_name == "sparse" else 12)
    library = kernel_objects.link(("gcc", *flags), compiled.folder, tmp_path / "trainer.so")
    c = CTrainer(library, compiled.graph.tensor(IMAGE).bytes, CLASSES)
    interpreter = Interpreter(compiled.module)
    interpreter.reset(3)
    interpreter.learning_rate = 0.3
    c.reset(3, 0.3)
    for step in range(3):
        c.fill_arena(0xA5)
        expected = interpreter.values(image(step), step % CLASSES)
        assert np.float32(c.train_step(image(step), step % CLASSES)) == expected[LOSS]
        assert c.logits().tobytes() == expected[LOGITS].tobytes()
        assert b"".join(c.state().values()) == interpreter.state_bytes()
    c.fill_arena(0x5A)
    assert c.predict(image(9)).tobytes() == interpreter.predict(image(9)).tobytes()


def test_a_chain_ends_where_a_value_is_needed_twice(forward: Graph) -> None:
    """A residual addition may end a chain only if the chain starts at its other operand."""
    names = {op.name: index for index, op in enumerate(forward.operators)}
    readers = forward.readers()
    for name, index in names.items():
        if not name.endswith(".residual"):
            continue
        start = index
        while chain_input(forward.operators[start - 1]) != forward.operators[index].input("a"):
            start -= 1
        start -= 1
        assert chain_end(forward, start, readers) == index + 1
        assert chain_end(forward, start + 1, readers) == index


def test_what_a_backward_pass_needs_is_never_in_a_window(backbone: Backbone) -> None:
    graph = training_module(backbone, full(backbone)).graph
    forward_count = sum(op.phase == "forward" for op in graph.operators)
    late = {name for op in graph.operators[forward_count:] for _, name in op.inputs}
    for region in longest_chains(graph, 1):
        assert not late & set(internal_tensors(graph, region))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_windows_hold_what_is_needed_and_no_more(forward: Graph, data: st.DataObject) -> None:
    """A window is at most the whole tensor and shrinks with the strip."""
    readers = forward.readers()
    starts = [i for i in range(len(forward.operators)) if chain_end(forward, i, readers) > i + 1]
    first = data.draw(st.sampled_from(starts))
    last = data.draw(st.integers(first + 2, chain_end(forward, first, readers)))
    if forward.operators[last - 1].kind == "add" and last != chain_end(forward, first, readers):
        return
    height = forward.tensor(forward.operators[last - 1].output("y")).shape[0]
    strip = data.draw(st.integers(1, height))
    small = work_out(forward, Region(first, last, strip))
    large = work_out(forward, Region(first, last, height))
    assert small.strips == -(-height // strip)
    assert large.strips == 1
    for window, whole in zip(small.windows, large.windows, strict=True):
        assert 0 < window.bytes <= whole.bytes <= forward.tensor(window.tensor).bytes
        assert window.row_bytes == row_bytes(forward.tensor(window.tensor))
    if small.distance is not None:
        assert small.distance <= 0
        assert small.distance % 4 == 0


def test_a_strip_has_rows(forward: Graph) -> None:
    with pytest.raises(PlanError, match="needs two operators and a strip of rows"):
        work_out(forward, Region(0, 2, 0))
