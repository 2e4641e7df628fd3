"""The function that a person wrote, below the decorators that wrap it."""

from collections.abc import Sequence
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import CellType, CodeType, FunctionType


def written_code(code: CodeType, closure: Sequence[CellType]) -> CodeType:
    """Return the code of the function that a decorator's `wrapper(*args, **kwargs)` holds; any other code as it is."""
    takes_anything = CO_VARARGS | CO_VARKEYWORDS
    if "<locals>" not in code.co_qualname or code.co_flags & takes_anything != takes_anything:
        return code
    held = next((content for content in map(_content, closure) if isinstance(content, FunctionType)), None)
    return written_code(held.__code__, held.__closure__ or ()) if held else code


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # nothing was put into it yet
        return None
