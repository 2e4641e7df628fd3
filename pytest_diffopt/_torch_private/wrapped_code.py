"""The function that the user wrote, below the decorators that wrap it."""

from collections.abc import Sequence
from inspect import CO_VARARGS, CO_VARKEYWORDS
from types import CellType, CodeType, FunctionType

from torch.nn import Module


def written_code(code: CodeType, closure: Sequence[CellType]) -> CodeType:
    """Return the code of the function inside a decorator's `wrapper(*args, **kwargs)`; any other code unchanged.

    Dynamo puts a compiled torch layer inside such a wrapper too; then the code is that of the layer's `forward`.
    """
    takes_anything = CO_VARARGS | CO_VARKEYWORDS
    if "<locals>" not in code.co_qualname or code.co_flags & takes_anything != takes_anything:
        return code
    contents = [_content(cell) for cell in closure]
    layers = [type(content).forward for content in contents if isinstance(content, Module)]
    held = next((content for content in contents + layers if isinstance(content, FunctionType)), None)
    return written_code(held.__code__, held.__closure__ or ()) if held else code


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # the cell is empty
        return None
