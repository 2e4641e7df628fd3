"""JSON read to the letter, and what is wrong with it said by the key, the rule and the value."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

# The path is the last thing in it: the name of an unknown field, which may be any text, stands before.
_PROBLEM = re.compile(r"(?P<rule>.*) - at `\$\.?(?P<key>[^`]*)`|(?P<whole>.*)", re.DOTALL)
_FIELD = re.compile(r"Object (?P<problem>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
_EXPECTED = re.compile(r"Expected (?P<what>.*?)(?:, got .*)?$", re.DOTALL)
_PATH_STEP = re.compile(r"\[(\d+)\]|\[(\.\.\.)\]|([^.\[\]]+)")
_LONGEST_VALUE = 60


class JSONProblem(Exception):  # noqa: N818 - its reader catches it, and tells it as an error that names the file
    """Why a text is not what it should be."""


def parse(raw: bytes) -> Any:
    """Parse what is JSON to the letter; Python's reader alone would let NaN, broken text and double keys through."""
    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_duplicates)
        for key, leaf in _leaves(content):
            _check_leaf(key, leaf)
    except UnicodeDecodeError as error:
        refuse(f"it is not UTF-8 text (byte {error.start})")
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        refuse(f"it is not whole JSON: {error.msg} ({where})")
    except RecursionError:
        refuse("it is nested too deeply")
    except ValueError as error:  # a number of thousands of digits
        refuse(str(error))
    return content


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        refuse(f"{_printable(twice)}: the key stands twice")
    return content


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key and every plain value below `value`, each with the path that leads to it."""
    if isinstance(value, dict):
        for name, child in value.items():
            path = f"{key}.{name}" if key else name
            yield path, name
            yield from _leaves(child, path)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _leaves(child, f"{key}[{index}]")
    else:
        yield key, value


def _check_leaf(key: str, leaf: Any) -> None:
    if isinstance(leaf, float) and not math.isfinite(leaf):
        refuse(f"{_printable(key)}: must be a finite number, got: {shown(leaf)}")
    if isinstance(leaf, str) and not _is_unicode(leaf):
        refuse(f"{_printable(key)}: must be Unicode text, got: {shown(leaf)}")


def described(problem: str, content: Any) -> str:
    """Say msgspec's finding with its key first and the value that broke the rule last."""
    found = _PROBLEM.fullmatch(problem)
    assert found, "unreachable because the pattern matches any text"  # noqa: S101
    key, rule = found["key"] or "", found["rule"] or found["whole"] or ""
    field = _FIELD.fullmatch(rule)
    if field is None:
        must_be = _EXPECTED.sub(r"must be \g<what>", rule).replace("`", "")
        return f"{key}: {must_be}, got: {shown(_value_at(content, key))}"
    path = f"{key}.{field['name']}" if key else field["name"]
    return f"{path}: missing" if field["problem"] == "missing required" else f"{path}: unknown key"


def _value_at(content: Any, key: str) -> Any:
    """Follow a path such as `sessions[0].samples_ns[2]`; a step that names no single place (`[...]`) ends the way."""
    for index, any_key, name in _PATH_STEP.findall(key):
        if any_key:
            return content
        try:
            content = content[int(index)] if index else content[name]
        except (LookupError, TypeError):  # an unknown field may be named like the end of a finding
            return content
    return content


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _printable(text: str) -> str:
    return text.encode("ascii", errors="backslashreplace").decode()


def shown(value: Any) -> str:
    """Write a value as JSON does, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."


def refuse(problem: str) -> NoReturn:
    """Say why a text cannot be read."""
    raise JSONProblem(problem)
