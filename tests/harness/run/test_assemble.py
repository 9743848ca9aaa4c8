"""SRAM figures from section sizes and paint, and what a method without room on a target says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import MeasurementError
from harness.firmware.build import Firmware
from harness.firmware.elf_sections import SectionSizes, SramLayout
from harness.measure.sram import Span, Touched
from harness.results.document import MemoryPlan, SchemeSummary
from harness.run.assemble import make_sram, planned_sram
from harness.run.execute import NoRoomError, check_memory, plan_paint
from harness.run.prepare import Trainer
from harness.targets import Target, load_target

MEGABYTE = 1 << 20


def trainer(arena: int, state: int) -> Trainer:
    plan = MemoryPlan(arena_bytes=arena, lower_bound=arena, gap_bytes=0, order="", buffers=(), operators=())
    scheme = SchemeSummary(
        method="m",
        description="",
        updated_bias_layers=0,
        updated_weight_layers=(),
        trainable_values=0,
        rounding="nearest",
        learning_rate=0.1,
        extra_memory_analytic=0,
    )
    return Trainer(Path(), plan, "", scheme, arena, state)


def firmware(layout: SramLayout) -> Firmware:
    return Firmware(
        elf=Path(),
        digest="",
        target="",
        compiler="",
        toolchain="",
        flags=(),
        large_layout=False,
        sections=SectionSizes(0, 0, 0, 0, 0, 0, 0),
        sram=layout,
        symbols=(),
        log=Path(),
    )


@pytest.fixture
def target() -> Target:
    return load_target("qemu-mps2-an500")


@pytest.fixture
def layout() -> SramLayout:
    """stack 0x1000, static 0x100, state 0x200, agent 0x80, arena 0x400, in this order."""
    ram = 0x2000_0000
    return SramLayout(
        stack=Span(ram, 0x1000),
        static=(Span(ram + 0x1000, 0x100),),
        state=(Span(ram + 0x1100, 0x200),),
        agent=(Span(ram + 0x1300, 0x80),),
        arena=(Span(ram + 0x1380, 0x400),),
        free=None,
    )


def test_peak_is_static_state_arena_and_the_used_stack(layout: SramLayout, target: Target) -> None:
    sram = make_sram(firmware(layout), trainer(0x400, 0x200), target, Touched(arena=0x3F0, stack=0x123))
    assert sram.peak == 0x100 + 0x200 + 0x400 + 0x123
    assert (sram.agent, sram.arena_touched, sram.lacking_bytes) == (0x80, 0x3F0, 0)
    assert (sram.kind, sram.budget_bytes) == ("measured", 320 * 1024)


def test_an_arena_touched_beyond_the_plan_is_an_error(layout: SramLayout, target: Target) -> None:
    with pytest.raises(MeasurementError, match=r"1024 bytes of the arena were touched.*1023 are planned"):
        make_sram(firmware(layout), trainer(0x3FF, 0x200), target, Touched(arena=0x400, stack=1))


def test_painting_covers_every_byte_of_ram_but_what_start_up_writes(
    layout: SramLayout, target: Target
) -> None:
    paint = plan_paint(firmware(layout), target)
    assert paint is not None
    ram = sum(region.size for region in target.regions if region.kind == "ram")
    assert sum(area.span.size for area in paint.areas) == ram - 0x100 - 0x200 - 0x80
    for first in paint.areas:
        assert not any(first.span.overlaps(other.span) for other in paint.areas if other is not first)


def test_the_host_is_not_painted(layout: SramLayout) -> None:
    assert plan_paint(firmware(layout), load_target("host")) is None


@pytest.mark.parametrize(
    ("arena", "state", "word"), [(17 * MEGABYTE, 0, "arena"), (0, 5 * MEGABYTE, "state")]
)
def test_what_fits_nowhere_has_no_room_and_says_by_how_much(
    target: Target, arena: int, state: int, word: str
) -> None:
    with pytest.raises(NoRoomError, match=f"the {word} alone needs .* {MEGABYTE} more"):
        check_memory(trainer(arena, state), target)
    sram = planned_sram(trainer(arena, state), target)
    assert sram.kind == "analytic"
    assert sram.lacking_bytes == arena + state - 320 * 1024


def test_what_fits_somewhere_has_room(target: Target) -> None:
    check_memory(trainer(16 * MEGABYTE, 4 * MEGABYTE), target)
    check_memory(trainer(100 * MEGABYTE, 0), load_target("host"))
