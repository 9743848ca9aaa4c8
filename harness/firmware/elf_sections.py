"""What a firmware's ELF file reserves: SRAM by owner, flash by kind. Sizes and addresses in bytes.

The link scripts under `targets/` sort every object into sections by owner (trainer, agent and board,
libraries), with the same section names on every target; the words are those of docs/measuring.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from harness.errors import BuildError
from harness.measure.sram import Span, Symbol

_OWNERS = {
    ".static_data": "static",
    ".static_bss": "static",
    ".state": "state",
    ".agent_data": "agent",
    ".agent_bss": "agent",
    ".arena": "arena",
    ".stack": "stack",
}
_TEXT = (".vectors", ".trainer_text", ".text", ".ARM.exidx")
_RODATA = (".trainer_rodata", ".rodata")
_DATA = (".static_data", ".agent_data")
_BSS = (".static_bss", ".agent_bss")
_MARKERS = (".free",)


@dataclass(frozen=True)
class Section:
    """An allocated section: where it is when the firmware runs."""

    name: str
    address: int
    size: int
    writable: bool

    @property
    def end(self) -> int:
        return self.address + self.size


@dataclass(frozen=True)
class ElfContents:
    """Allocated sections in order of address, and all named symbols with their values."""

    sections: tuple[Section, ...]
    symbols: Mapping[str, int]


@dataclass(frozen=True)
class SectionSizes:
    """Bytes by kind. `trainer_` fields: the trainer's own objects, without libraries, agent and board."""

    text: int
    rodata: int
    data: int
    bss: int
    trainer_text: int
    trainer_rodata: int
    trainer_data: int

    @property
    def flash(self) -> int:
        """text + rodata + data initializers of the whole firmware."""
        return self.text + self.rodata + self.data

    @property
    def trainer_flash(self) -> int:
        """The same of the trainer alone."""
        return self.trainer_text + self.trainer_rodata + self.trainer_data


@dataclass(frozen=True)
class SramLayout:
    """Who owns which SRAM. The spans of one owner are in order of address; no two spans overlap."""

    static: tuple[Span, ...]
    state: tuple[Span, ...]
    arena: tuple[Span, ...]
    agent: tuple[Span, ...]
    stack: Span
    """What is reserved; how much is used is measured."""
    free: Span | None
    """SRAM that nobody owns; None on a target that is no microcontroller."""

    @property
    def static_bytes(self) -> int:
        return _total(self.static)

    @property
    def state_bytes(self) -> int:
        return _total(self.state)

    @property
    def arena_bytes(self) -> int:
        return _total(self.arena)

    @property
    def agent_bytes(self) -> int:
        return _total(self.agent)


def read_elf(path: Path) -> ElfContents:
    """Sections and symbols of an ELF file; raise BuildError when it cannot be read as one."""
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            sections = [
                Section(
                    section.name,
                    section["sh_addr"],
                    section["sh_size"],
                    bool(section["sh_flags"] & SH_FLAGS.SHF_WRITE),
                )
                for section in elf.iter_sections()
                if section["sh_flags"] & SH_FLAGS.SHF_ALLOC
            ]
            symbols = {
                symbol.name: symbol["st_value"]
                for section in elf.iter_sections()
                if isinstance(section, SymbolTableSection)
                for symbol in section.iter_symbols()
                if symbol.name and symbol["st_shndx"] != "SHN_UNDEF"
            }
    except (OSError, ELFError) as error:
        raise BuildError(f"{path} cannot be read as an ELF file: {error}") from error
    return ElfContents(tuple(sorted(sections, key=lambda section: section.address)), symbols)


def section_sizes(contents: ElfContents) -> SectionSizes:
    """Sizes by kind."""
    size = {section.name: section.size for section in contents.sections}

    def total(names: Sequence[str]) -> int:
        return sum(size.get(name, 0) for name in names)

    return SectionSizes(
        text=total(_TEXT),
        rodata=total(_RODATA),
        data=total(_DATA),
        bss=total(_BSS),
        trainer_text=total([".trainer_text"]),
        trainer_rodata=total([".trainer_rodata"]),
        trainer_data=total([".static_data"]),
    )


def sram_layout(contents: ElfContents) -> SramLayout:
    """Owners of SRAM, from the sections that the link scripts name after them.

    A gap that alignment leaves between two sections goes to the agent where the agent is a neighbour, else
    to static: on a microcontroller static + state + agent + arena is all the SRAM between stack and free.
    """
    owned = [section for section in contents.sections if section.name in _OWNERS and section.size > 0]
    spans: dict[str, list[Span]] = {owner: [] for owner in _OWNERS.values()}
    previous: Section | None = None
    for section in owned:
        owner = _OWNERS[section.name]
        if previous is not None and 0 < section.address - previous.end < _LARGEST_GAP:
            gap = Span(previous.end, section.address - previous.end)
            before = _OWNERS[previous.name]
            if "stack" not in (owner, before):
                spans["agent" if "agent" in (owner, before) else "static"].append(gap)
        spans[owner].append(Span(section.address, section.size))
        previous = section
    if not spans["stack"]:
        raise BuildError("the firmware has no section .stack; the target's link script has to reserve one")
    free = None
    if "__free_start" in contents.symbols:
        start = contents.symbols["__free_start"]
        free = Span(start, contents.symbols["__free_end"] - start)
    bottom, top = contents.symbols["__stack_bottom"], contents.symbols["__stack_top"]
    return SramLayout(
        static=tuple(spans["static"]),
        state=tuple(spans["state"]),
        arena=tuple(spans["arena"]),
        agent=tuple(spans["agent"]),
        stack=Span(bottom, top - bottom),
        free=free,
    )


def check_sections(contents: ElfContents) -> None:
    """Raise BuildError for a section of a microcontroller's firmware that no owner is known for."""
    known = {*_OWNERS, *_TEXT, *_RODATA, *_MARKERS}
    for section in contents.sections:
        if section.size > 0 and section.name not in known:
            raise BuildError(
                f"the firmware has a section {section.name} of {section.size} bytes that nobody accounts "
                "for; a trainer's sections are .text, .rodata, .data, .bss, .state and .arena"
            )


def symbol_list(contents: ElfContents) -> tuple[Symbol, ...]:
    """All symbols in order of address, for messages that name what is near an address."""
    pairs = sorted((address, name) for name, address in contents.symbols.items())
    return tuple(Symbol(name, address) for address, name in pairs)


_LARGEST_GAP = 256
"""Larger distances are between two memories, not alignment."""


def _total(spans: Sequence[Span]) -> int:
    return sum(span.size for span in spans)
