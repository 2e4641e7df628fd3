"""Locations in source code, and the search for the innermost line of user code on a stack."""

import functools
import linecache
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

_PACKAGE = str(Path(__file__).parents[1]) + "/"
_STDLIB = sysconfig.get_path("stdlib") + "/"
# Code that executes operations for its caller: a sync or graph break is fixed in the caller, not here.
_MACHINERY = ("torch/", "torchao/", "accelerate/hooks.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeLocation:
    """One line of source code.

    Attributes:
        file: path from its import root (`diffusers/schedulers/scheduling_ddim.py`) or from the working directory.
        line: line number, from 1; 0 when unknown.
        function: name of the enclosing function.
        source: text of the line, stripped; empty when the file cannot be read.
    """

    file: str
    line: int
    function: str
    source: str = ""

    def __str__(self) -> str:
        """Return `file:line`, which terminals and editors turn into a link."""
        return f"{self.file}:{self.line}"


UNKNOWN_LOCATION = CodeLocation(file="<unknown>", line=0, function="<unknown>")


def locate(path: str, line: int, function: str) -> CodeLocation:
    """Return the location of a line, with the path shortened by `shorten`."""
    return CodeLocation(file=shorten(path), line=line, function=function, source=linecache.getline(path, line).strip())


def shorten(path: str) -> str:
    """Strip the working directory or the import root (such as site-packages) from a path; keep any other path."""
    working_folder = str(Path.cwd()) + "/"
    if path.startswith(working_folder) and "-packages/" not in path:
        return path[len(working_folder) :]
    return _inside_import_root(path) or path


@functools.lru_cache(maxsize=4096)
def is_machinery(path: str) -> bool:
    """Return whether a file is not user code: torch, this package, the standard library or generated code."""
    if path.startswith((_PACKAGE, "<")):
        return True
    inside = _inside_import_root(path)
    return inside.startswith(_MACHINERY) if inside else path.startswith(_STDLIB)


def _inside_import_root(path: str) -> str:
    """Return the path below its import root; empty for the standard library and for files outside of `sys.path`."""
    roots = sorted((root + "/" for root in sys.path if root and root + "/" != _STDLIB), key=len, reverse=True)
    return next((path[len(root) :] for root in roots if path.startswith(root)), "")


def users_frame(frame: FrameType) -> FrameType | None:
    """Return the innermost frame of user code, searching from `frame` outwards."""
    return next((one for one in _outwards(frame) if not is_machinery(one.f_code.co_filename)), None)


def users_line(frame: FrameType | None = None) -> CodeLocation:
    """Return the innermost line of user code, searching from `frame` (default: the caller) outwards."""
    found = users_frame(frame or sys._getframe(1))  # noqa: SLF001 - CPython has no public equivalent as fast
    if found is None:
        return UNKNOWN_LOCATION
    return locate(found.f_code.co_filename, found.f_lineno, found.f_code.co_name)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
