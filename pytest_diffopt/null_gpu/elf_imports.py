"""The symbols of a library or an object file that are undefined or defined, read from its ELF file."""

import mmap
import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_ELF64_LITTLE_ENDIAN = b"\x7fELF\x02\x01"
_GLOBAL = 1


class _SymbolTable(IntEnum):
    OBJECT = 2
    DYNAMIC = 11


def undefined_symbols(library: Path) -> frozenset[str]:
    """Return the names that a shared library imports; none if the file is no 64-bit library."""
    return frozenset(name for name, is_defined in _symbols(library, _SymbolTable.DYNAMIC) if not is_defined)


def defined_symbols(compiled: Path) -> frozenset[str]:
    """Return the global names that an object file defines."""
    return frozenset(name for name, is_defined in _symbols(compiled, _SymbolTable.OBJECT) if is_defined)


def _symbols(file: Path, kind: _SymbolTable) -> Iterator[tuple[str, bool]]:
    with file.open("rb") as opened:
        if opened.read(len(_ELF64_LITTLE_ENDIAN)) != _ELF64_LITTLE_ENDIAN:
            return
        with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield from _table(content, kind)


def _table(content: mmap.mmap, kind: _SymbolTable) -> Iterator[tuple[str, bool]]:
    (offset,) = struct.unpack_from("<Q", content, 0x28)
    _, count = struct.unpack_from("<HH", content, 0x3A)
    sections = [_SECTION.unpack_from(content, offset + i * _SECTION.size) for i in range(count)]
    for section in sections:
        if section[1] == kind:
            names = sections[section[6]][4]
            start, size = section[4], section[5]
            for name, info, _, index, _, _ in _SYMBOL.iter_unpack(content[start : start + size]):
                if name and info >> 4 >= _GLOBAL:
                    yield _text(content, names + name), index != 0


def _text(content: mmap.mmap, start: int) -> str:
    return content[start : content.find(b"\0", start)].decode("ascii", errors="replace")
