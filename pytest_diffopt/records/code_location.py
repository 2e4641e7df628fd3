"""Locations in source code, and the search for the innermost line of user code on a stack."""

import functools
import linecache
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

_PACKAGE = str(Path(__file__).parents[1]) + "/"
_STDLIB = sysconfig.get_path("stdlib") + "/"
# Code that executes operations for its caller: a sync or graph break is fixed in the caller, not here.
_MACHINERY = (
    "torch/",
    "torchao/",
    "accelerate/hooks.py",
    "accelerate/utils/modeling.py",
    "accelerate/utils/operations.py",
    "diffusers/hooks/group_offloading.py",
    "diffusers/hooks/hooks.py",
)
# Functions that move weights between the host and the GPU, by their file. What calls `send_to_device` moves arguments.
_MOVES_WEIGHTS = {
    "accelerate/hooks.py": frozenset({"init_hook", "pre_forward", "post_forward", "detach_hook"}),
    "diffusers/hooks/group_offloading.py": frozenset({"pre_forward", "onload_", "offload_"}),
}
_MOVES_ARGUMENTS = {"accelerate/utils/operations.py": frozenset({"send_to_device"})}
# Overridden `Module.to` methods, which a hook calls.
_TRANSPARENT = {
    "diffusers/models/modeling_utils.py": frozenset({"to"}),
    "transformers/modeling_utils.py": frozenset({"to"}),
}


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


def moves_weights(frame: FrameType) -> bool:
    """Return whether an offload hook that moves weights runs, searching from `frame` outwards to the user's code."""
    for one in _outwards(frame):
        file, function = one.f_code.co_filename, one.f_code.co_name
        if not is_machinery(file) and function not in _functions_in(_TRANSPARENT, file):
            return False
        if function in _functions_in(_MOVES_ARGUMENTS, file):
            return False
        if function in _functions_in(_MOVES_WEIGHTS, file):
            return True
    return False


def _functions_in(table: Mapping[str, frozenset[str]], file: str) -> frozenset[str]:
    return next((functions for name, functions in table.items() if file.endswith(name)), frozenset())


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
