"""Strict JSON: every problem is reported with its key, the rule and the value."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

# The path comes last: the name of an unknown field, which may be any text, comes before it.
_PROBLEM = re.compile(r"(?P<rule>.*) - at `\$\.?(?P<key>[^`]*)`|(?P<whole>.*)", re.DOTALL)
_FIELD = re.compile(r"Object (?P<problem>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
_EXPECTED = re.compile(r"Expected (?P<what>.*?)(?:, got .*)?$", re.DOTALL)
_PATH_STEP = re.compile(r"\[(\d+)\]|\[(\.\.\.)\]|([^.\[\]]+)")
_LONGEST_VALUE = 60


class JSONProblem(Exception):  # noqa: N818 - callers convert it to an error that names the file
    """Why a text is not valid."""


def parse(raw: bytes) -> Any:
    """Parse JSON; unlike Python's parser, refuse NaN, surrogates and duplicate keys.

    Raises:
        JSONProblem: the bytes are not strict JSON.
    """
    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_duplicates)
        for key, leaf in _leaves(content):
            _check_leaf(key, leaf)
    except UnicodeDecodeError as error:
        refuse(f"it is not UTF-8 text (byte {error.start})")
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        refuse(f"it is not valid JSON: {error.msg} ({where})")
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
        refuse(f"{_printable(twice)}: duplicate key")
    return content


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key and every plain value below `value`, each with its path."""
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
    """Rewrite a message of msgspec: the key first, then the rule, and the refused value last.

    Args:
        problem: the message of a `msgspec.ValidationError`.
        content: the parsed JSON.
    """
    found = _PROBLEM.fullmatch(problem)
    assert found, "unreachable: the pattern matches any text"  # noqa: S101
    key, rule = found["key"] or "", found["rule"] or found["whole"] or ""
    field = _FIELD.fullmatch(rule)
    if field is None:
        must_be = _EXPECTED.sub(r"must be \g<what>", rule).replace("`", "")
        return f"{key}: {must_be}, got: {shown(_value_at(content, key))}"
    path = f"{key}.{field['name']}" if key else field["name"]
    return f"{path}: missing" if field["problem"] == "missing required" else f"{path}: unknown key"


def _value_at(content: Any, key: str) -> Any:
    """Follow a path such as `sessions[0].samples_ns[2]`, up to a step without a single target (`[...]`)."""
    for index, any_key, name in _PATH_STEP.findall(key):
        if any_key:
            return content
        try:
            content = content[int(index)] if index else content[name]
        except (LookupError, TypeError):  # the name of an unknown field may look like the end of a message
            return content
    return content


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _printable(text: str) -> str:
    return text.encode("ascii", errors="backslashreplace").decode()


def shown(value: Any) -> str:
    """Return a value as JSON, shortened if it is long."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."


def refuse(problem: str) -> NoReturn:
    """Raise a `JSONProblem`."""
    raise JSONProblem(problem)
