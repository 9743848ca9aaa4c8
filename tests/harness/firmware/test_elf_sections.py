"""The split of SRAM and flash, on section tables written by hand."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BuildError
from harness.firmware.elf_sections import (
    ElfContents,
    Section,
    check_sections,
    read_elf,
    section_sizes,
    sram_layout,
    symbol_list,
)
from harness.measure.sram import Span, Symbol

RAM = 0x20000000
ORDER = (".static_data", ".static_bss", ".state", ".agent_data", ".agent_bss", ".arena")


def contents(*sections: tuple[str, int, int], free: int | None = None) -> ElfContents:
    symbols = {"__stack_bottom": RAM, "__stack_top": RAM + 64}
    if free is not None:
        symbols |= {"__free_start": free, "__free_end": RAM + 0x10000}
    stack = Section(".stack", RAM, 64, writable=True)
    return ElfContents((stack, *(Section(*entry, writable=True) for entry in sections)), symbols)


def test_each_section_has_its_owner() -> None:
    layout = sram_layout(
        contents(
            (".static_data", RAM + 64, 8),
            (".static_bss", RAM + 72, 24),
            (".state", RAM + 96, 100),
            (".agent_bss", RAM + 196, 60),
            (".arena", RAM + 256, 1000),
            free=RAM + 1256,
        )
    )
    assert (layout.static_bytes, layout.state_bytes, layout.agent_bytes, layout.arena_bytes) == (
        32,
        100,
        60,
        1000,
    )
    assert layout.stack == Span(RAM, 64)
    assert layout.free == Span(RAM + 1256, 0x10000 - 1256)
    assert layout.arena == (Span(RAM + 256, 1000),)


@pytest.mark.parametrize(
    ("before", "after", "owner"),
    [
        (".static_bss", ".state", "static"),
        (".static_data", ".static_bss", "static"),
        (".state", ".agent_bss", "agent"),
        (".agent_bss", ".arena", "agent"),
        (".state", ".arena", "static"),
    ],
)
def test_alignment_gap_is_never_the_states_or_the_arenas(before: str, after: str, owner: str) -> None:
    layout = sram_layout(contents((before, RAM + 64, 10), (after, RAM + 80, 16)))
    assert Span(RAM + 74, 6) in getattr(layout, owner)
    assert sum(span.size for span in layout.state) in (0, 10, 16)
    assert sum(span.size for span in layout.arena) in (0, 16)


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 31)), min_size=len(ORDER), max_size=len(ORDER)),
)
def test_owners_cover_the_sram_between_stack_and_free(sizes: list[tuple[int, int]]) -> None:
    address = RAM + 64
    sections = []
    first = None
    for name, (size, gap) in zip(ORDER, sizes, strict=True):
        if size > 0:
            address += gap if first is not None else 0
            first = address if first is None else first
            sections.append((name, address, size))
            address += size
    layout = sram_layout(contents(*sections))
    spans = sorted([*layout.static, *layout.state, *layout.agent, *layout.arena], key=lambda span: span.start)
    assert sum(span.size for span in spans) == (address - first if first is not None else 0)
    assert not any(one.overlaps(other) for one, other in pairwise(spans))


def test_arena_in_another_memory_leaves_no_gap() -> None:
    layout = sram_layout(contents((".agent_bss", RAM + 64, 60), (".arena", 0x60000000, 1 << 23)))
    assert (layout.agent_bytes, layout.arena_bytes, layout.static_bytes) == (60, 1 << 23, 0)


def test_firmware_without_a_stack_is_refused() -> None:
    with pytest.raises(BuildError, match=r"\.stack"):
        sram_layout(ElfContents((), {}))


def test_sizes_by_kind() -> None:
    sizes = section_sizes(
        contents(
            (".vectors", 0, 64),
            (".trainer_text", 64, 1000),
            (".trainer_rodata", 1064, 500),
            (".text", 1600, 300),
            (".rodata", 1900, 20),
            (".ARM.exidx", 1920, 8),
            (".static_data", RAM + 64, 12),
            (".agent_data", RAM + 76, 4),
            (".static_bss", RAM + 80, 40),
            (".agent_bss", RAM + 120, 8),
        )
    )
    assert (sizes.text, sizes.rodata, sizes.data, sizes.bss) == (1372, 520, 16, 48)
    assert sizes.flash == 1372 + 520 + 16
    assert sizes.trainer_flash == 1000 + 500 + 12


def test_section_of_nobody_is_refused() -> None:
    check_sections(contents((".arena", RAM + 64, 4), (".free", RAM + 68, 0)))
    with pytest.raises(BuildError, match=r"\.ccmram of 12 bytes"):
        check_sections(contents((".ccmram", RAM + 64, 12)))


def test_symbols_come_in_order_of_address() -> None:
    assert symbol_list(contents()) == (Symbol("__stack_bottom", RAM), Symbol("__stack_top", RAM + 64))


@pytest.mark.parametrize("data", [b"", b"no ELF", b"\x7fELF" + bytes(60)])
def test_damaged_file_is_a_build_error(tmp_path, data: bytes) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "firmware.elf"
    path.write_bytes(data)
    with pytest.raises(BuildError, match="cannot be read as an ELF file"):
        read_elf(path)
