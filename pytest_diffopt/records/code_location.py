"""A place in somebody's source code, and how to find the one that a person wants to read."""

import functools
import linecache
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

_PACKAGE = str(Path(__file__).parents[1]) + "/"
_STANDARD_LIBRARY = sysconfig.get_path("stdlib") + "/"
# They carry an operation out for somebody; none of their lines is where a person would fix it.
_MACHINERY = ("torch/", "torchao/", "accelerate/hooks.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeLocation:
    """One line of source code.

    Attributes:
        file: the path from its import root (`diffusers/schedulers/scheduling_ddim.py`) or from the working folder.
        line: its number, from 1; 0 when it is unknown.
        function: the name of the function that holds it.
        source: the text of the line, stripped; empty when the file cannot be read.
    """

    file: str
    line: int
    function: str
    source: str = ""

    def __str__(self) -> str:
        """Read as `file:line`, which terminals and editors turn into a link."""
        return f"{self.file}:{self.line}"


UNKNOWN_LOCATION = CodeLocation(file="<unknown>", line=0, function="<unknown>")


def locate(path: str, line: int, function: str) -> CodeLocation:
    """Describe a line of a file, its path shortened to what a person would search for."""
    return CodeLocation(file=shorten(path), line=line, function=function, source=linecache.getline(path, line).strip())


def shorten(path: str) -> str:
    """Cut the site-packages, the working folder or an import root off a path; any other path is left as it is."""
    working_folder = str(Path.cwd()) + "/"
    if path.startswith(working_folder) and "-packages/" not in path:
        return path[len(working_folder) :]
    return _inside_import_root(path) or path


@functools.lru_cache(maxsize=4096)
def is_machinery(path: str) -> bool:
    """Tell whether a file only carries operations out: torch, this package, the standard library, generated code."""
    if path.startswith((_PACKAGE, "<")):
        return True
    inside = _inside_import_root(path)
    return inside.startswith(_MACHINERY) if inside else path.startswith(_STANDARD_LIBRARY)


def _inside_import_root(path: str) -> str:
    """Return the path below the folder that it is imported from; empty for the standard library and for strangers."""
    roots = sorted((root + "/" for root in sys.path if root and root + "/" != _STANDARD_LIBRARY), key=len, reverse=True)
    return next((path[len(root) :] for root in roots if path.startswith(root)), "")


def users_frame(frame: FrameType) -> FrameType | None:
    """Return the innermost frame, from `frame` outwards, of code that a person would fix."""
    return next((one for one in _outwards(frame) if not is_machinery(one.f_code.co_filename)), None)


def users_line(frame: FrameType | None = None) -> CodeLocation:
    """Return the innermost line, from `frame` (default: the caller) outwards, of code that a person would fix."""
    found = users_frame(frame or sys._getframe(1))  # noqa: SLF001 - CPython's own way to a frame without a traceback
    if found is None:
        return UNKNOWN_LOCATION
    return locate(found.f_code.co_filename, found.f_lineno, found.f_code.co_name)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
