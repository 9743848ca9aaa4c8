"""What the harness needs of an ELF file: its loadable segments and its symbols. Files are not trusted."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, SymbolTableSection
from elftools.elf.segments import Segment as ElfSegment

from harness.errors import LoadError

# ELF specification, "Symbol Table": name, value, size, info, other, section; in 64 bits in another order.
_RECORD = {32: "IIIBBH", 64: "IBBHQQ"}
_NOTYPE, _OBJECT, _FUNC, _UNDEFINED = 0, 1, 2, 0
_LONGEST_NAME = 4096
"""Bytes; a file in which every symbol is named by megabytes would be read for hours."""


@dataclass(frozen=True)
class Segment:
    """Bytes of a PT_LOAD segment at the address they are programmed to (physical address)."""

    address: int
    data: bytes
    writable: bool

    @property
    def end(self) -> int:
        return self.address + len(self.data)


@dataclass(frozen=True)
class Symbol:
    """Address (Thumb bit cleared) and size in bytes."""

    name: str
    address: int
    size: int

    def covers(self, address: int) -> bool:
        return self.address <= address < self.address + max(self.size, 2)


@dataclass(frozen=True)
class Image:
    """An ELF file, read."""

    path: Path
    machine: str
    """pyelftools' name of e_machine, such as EM_ARM."""
    position_independent: bool
    segments: tuple[Segment, ...]
    symbols: dict[str, Symbol]

    def function_at(self, address: int) -> str | None:
        """Name of the symbol whose bytes include `address`."""
        for symbol in self.symbols.values():
            if symbol.covers(address):
                return symbol.name
        return None


def read_image(path: Path) -> Image:
    """Parse an ELF file; raises LoadError for a file that is missing, no ELF, or damaged."""
    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            thumb = elf["e_machine"] == "EM_ARM"
            segments = tuple(
                Segment(part["p_paddr"], _bytes_of(part), bool(part["p_flags"] & 2))
                for part in elf.iter_segments("PT_LOAD")
                if part["p_filesz"]
            )
            return Image(
                path=path,
                machine=str(elf["e_machine"]),
                position_independent=elf["e_type"] == "ET_DYN",
                segments=segments,
                symbols=_symbols(elf, thumb),
            )
    except OSError as error:
        raise LoadError(f"the firmware {path} cannot be read: {error.strerror}") from error
    except (
        ELFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        UnicodeDecodeError,
        struct.error,
    ) as error:
        raise LoadError(f"{path} is no intact ELF file: {error}") from error


def load_segments(path: Path) -> tuple[Segment, ...]:
    """The PT_LOAD segments with bytes in the file, in file order."""
    return read_image(path).segments


def symbol_address(path: Path, name: str) -> int:
    """Address of a symbol (Thumb bit cleared); raises LoadError when the file has none of that name."""
    symbol = read_image(path).symbols.get(name)
    if symbol is None:
        raise LoadError(f"{path} has no symbol {name!r}")
    return symbol.address


def _bytes_of(part: ElfSegment) -> bytes:
    data: bytes = part.data()
    if len(data) != part["p_filesz"]:
        raise ELFError(f"a segment of {part['p_filesz']} bytes has only {len(data)} in the file")
    return data


def _contents(section: Section) -> bytes:
    data: bytes = section.data()
    if len(data) != section["sh_size"]:
        raise ELFError(f"a table of {section['sh_size']} bytes has only {len(data)} in the file")
    return data


def _symbols(elf: ELFFile, thumb: bool) -> dict[str, Symbol]:
    """Of all symbol tables. The records are taken apart here: one by one, pyelftools needs 0.1 s for them."""
    symbols: dict[str, Symbol] = {}
    order = "<" if elf.little_endian else ">"
    for section in elf.iter_sections():
        if not isinstance(section, SymbolTableSection):
            continue
        form = struct.Struct(order + _RECORD[elf.elfclass])
        records, names = _contents(section), _contents(section.stringtable)
        if section["sh_entsize"] != form.size:
            raise ELFError(f"a symbol has {section['sh_entsize']} bytes instead of {form.size}")
        for record in form.iter_unpack(records):
            if elf.elfclass == 32:
                at, value, size, info, _, place = record
            else:
                at, info, _, place, value, size = record
            name = names[at : names.index(b"\0", at, at + _LONGEST_NAME)].decode("utf-8")
            kind = info & 0xF
            if name and kind in (_NOTYPE, _OBJECT, _FUNC) and place != _UNDEFINED:
                address = value & ~1 if thumb and kind == _FUNC else value
                symbols.setdefault(name, Symbol(name, address, size))
    return symbols
