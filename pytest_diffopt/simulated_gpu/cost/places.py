"""Running lines of user code: found fast while the program runs, described when they are reported."""

import sys
from types import CodeType, FrameType

from pytest_diffopt.records.code_location import UNKNOWN_LOCATION, CodeLocation, is_machinery, locate

# A running line: the identity of its code object and the offset of its instruction. Code objects are slow to hash and
# line numbers slow to look up, so a place becomes a CodeLocation only when it is reported.
Place = tuple[int, int]
_codes: dict[int, CodeType] = {}  # keeps the code objects alive, so that an identity stays unique
_machinery: dict[str, bool] = {}


def users_place() -> Place | None:
    """Return the innermost running line of user code, which is at least three frames above this one."""
    frame: FrameType | None = sys._getframe(3)  # noqa: SLF001 - the only way to a frame without a traceback
    known = _machinery
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        skip = known.get(file)
        if skip is None:
            skip = known[file] = is_machinery(file)
        if not skip:
            identity = id(code)
            if identity not in _codes:
                _codes[identity] = code
            return identity, frame.f_lasti
        frame = frame.f_back
    return None


def location(place: Place | None) -> CodeLocation:
    """Return the file and line of a place."""
    if place is None:
        return UNKNOWN_LOCATION
    identity, offset = place
    code = _codes[identity]
    lines = (line for start, end, line in code.co_lines() if start <= offset < end and line is not None)
    return locate(code.co_filename, next(lines, code.co_firstlineno), code.co_name)
