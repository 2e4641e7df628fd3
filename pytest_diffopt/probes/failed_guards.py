"""The failed guard behind a recompile, parsed from torch's message, with the present value of its source."""

import ast
import re
from collections.abc import Callable
from types import CodeType

from pytest_diffopt.records import FailedGuard, GuardKind
from pytest_diffopt.records.code_location import UNKNOWN_LOCATION, CodeLocation, is_machinery, locate

_ID = re.compile(r"^\d+(?:/\d+)+: ")
_STACK_LINE = re.compile(r'^\s*File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)$', re.MULTILINE)
_ARGUMENT = re.compile(r"\bargs\[(?P<index>\d+)\]")
_KEYWORD = re.compile(r"\bkwargs\['(?P<name>\w+)'\]")
_INNER_DICT = re.compile(
    r"\.(?:__dict__\['_(?:modules|parameters|buffers)'\]|_modules|_parameters|_buffers|__dict__)\['(?P<name>\w+)'\]"
)
# A guard identifies an object by its id, which differs between runs.
_ADDRESS = re.compile(r", \d{6,}(?=\))")

_Values = Callable[[str], object]
#: Kind of the guard, its source, and the old and the new value.
_Reading = tuple[GuardKind, str, str, str]


def failed_guard(text: str, code: CodeType, value_of: _Values) -> FailedGuard | None:
    """Parse the failed guard; return None for text without one.

    Args:
        text: torch's message: the guard, followed by the user's stack.
        code: the recompiled function.
        value_of: returns the present value of an expression.
    """
    first, _, rest = text.strip().partition("\n")
    guard = re.sub(r"\s+", " ", _ID.sub("", first).partition("  # ")[0]).strip()
    if not guard:
        return None
    kind, source, old, new = _read(guard, value_of)
    return FailedGuard(
        kind=kind,
        source=_as_written(source, code),
        old=old,
        new=new,
        text=_as_written(_ADDRESS.sub("", guard), code),
        where=_where(rest),
    )


def _read(guard: str, value_of: _Values) -> _Reading:
    """Parse the guard with the first matching pattern."""
    for pattern, read in _READERS:
        if found := pattern.match(guard):
            return read(found, value_of)
    return GuardKind.OTHER, "", "", ""


def _dimension(found: re.Match[str], _value_of: _Values) -> _Reading:
    form = f"{found['what']} {{}} in dimension {found['dimension']}"
    return GuardKind.SHAPE, found["source"], form.format(found["old"]), form.format(found["new"])


def _property(found: re.Match[str], _value_of: _Values) -> _Reading:
    kind = {"rank": GuardKind.SHAPE, "dtype": GuardKind.DTYPE}.get(found["what"], GuardKind.OTHER)
    form = "{}" if "=" in found["old"] else f"{found['what']} {{}}"
    return kind, found["source"], form.format(found["old"]), form.format(found["new"]) if found["new"] else ""


def _no_tensor(found: re.Match[str], _value_of: _Values) -> _Reading:
    return GuardKind.TYPE, found["source"], "a tensor", _class_name(found["new"])


def _type(found: re.Match[str], value_of: _Values) -> _Reading:
    return GuardKind.TYPE, found["source"], _class_name(found["old"] or ""), _now(found["source"], value_of, _type_name)


def _object(found: re.Match[str], value_of: _Values) -> _Reading:
    return GuardKind.OBJECT, found["source"], "", _now(found["source"], value_of, _type_name)


def _state(found: re.Match[str], _value_of: _Values) -> _Reading:
    return GuardKind.GLOBAL_STATE, found["source"].strip(), "", ""


def _symbolic(found: re.Match[str], _value_of: _Values) -> _Reading:
    return GuardKind.SHAPE, found["source"], "", ""


def _unevaluated(_found: re.Match[str], _value_of: _Values) -> _Reading:
    return GuardKind.SHAPE, "", "", ""


def _value(found: re.Match[str], value_of: _Values) -> _Reading:
    return GuardKind.VALUE, found["source"], _literal(found["old"]), _now(found["source"], value_of, _described)


#: Each format of a guard in torch's messages, with its parser.
_READERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], _Values], _Reading]], ...] = (
    (
        re.compile(
            r"tensor '(?P<source>.+)' (?P<what>size|stride) mismatch at index (?P<dimension>\d+)\. "
            r"expected (?P<old>.+), actual (?P<new>.+)"
        ),
        _dimension,
    ),
    (
        re.compile(
            r"tensor '(?P<source>.+)' (?P<what>\w[\w ]*) mismatch\. expected (?P<old>.+?)(?:, actual (?P<new>.+))?$"
        ),
        _property,
    ),
    (re.compile(r"expected type of '(?P<source>.+)' to be a tensor type, ' but found (?P<new>.+)"), _no_tensor),
    (re.compile(r"___check_type_id\((?P<source>.+), \d+\)(?:, type=(?P<old><class '.+'>))?"), _type),
    (re.compile(r"___check_obj_id\((?P<source>.+), \d+\)"), _object),
    (re.compile(r"GLOBAL_STATE changed: (?P<source>.+)"), _state),
    (re.compile(r"(?:.*[^\w.\]'\[])?(?P<source>[\w.\]'\[]+)\.(?:size|stride|storage_offset)\("), _symbolic),
    # an argument that is no longer a tensor: torch reports the error of evaluating its shape guard, not the guard
    (re.compile(r"'\w+' object has no attribute '(?:size|stride|storage_offset)'"), _unevaluated),
    (re.compile(r"(?P<source>.+?) (?:==|is) (?P<old>.+)$"), _value),
)


def _now(source: str, value_of: _Values, describe: Callable[[object], str]) -> str:
    """Describe the present value of a guard's source; empty when it can no longer be evaluated."""
    try:
        return describe(value_of(source))
    except Exception:  # noqa: BLE001 - a user's property may raise anything; the new value is then left out
        return ""


def _literal(text: str) -> str:
    try:
        return _described(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text


def _described(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, (int, float, str)):
        return f"{type(value).__name__} {value!r}"
    return f"a {type(value).__name__}"


def _type_name(value: object) -> str:
    return type(value).__name__


def _class_name(text: str) -> str:
    return text.removeprefix("<class '").removesuffix("'>").rpartition(".")[2]


def _as_written(text: str, code: CodeType) -> str:
    """Rewrite expressions as in the user's code: `_modules[...]` as an attribute, `args[...]` as a parameter."""
    names = code.co_varnames[: code.co_argcount]

    def argument(found: re.Match[str]) -> str:
        position = int(found["index"]) + (names[:1] == ("self",))
        return names[position] if position < len(names) else found[0]

    text = _INNER_DICT.sub(r".\g<name>", text)
    return _KEYWORD.sub(r"\g<name>", _ARGUMENT.sub(argument, text))


def _where(stack: str) -> CodeLocation:
    lines = [found for found in _STACK_LINE.finditer(stack) if not is_machinery(found["path"])]
    if not lines:
        return UNKNOWN_LOCATION
    return locate(lines[-1]["path"], int(lines[-1]["line"]), lines[-1]["function"])
