"""A document to its one canonical text and back; the way back believes nothing.

The text is JSON with sorted keys, two blanks of indent and a list of figures on one line, so that a diff shows what
changed and nothing else. It holds no time and no machine path: accepting the same figures again changes no byte.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.errors import BaselineError, BrokenBaselineError

Document = TypeVar("Document", bound=Baseline)

_REPLACE = "restore the file from version control, or accept new figures with --diffopt-update all"
_UPGRADE = "upgrade pytest-diffopt: what it wrote must not be replaced by less"
_LOOK = "it would guard nothing: look at what was measured"
_ONE_CASE_ONE_CONCERN = "a case has one baseline: check each concern in a test of its own, then --diffopt-update all"
# A line break cannot stand inside a JSON string, so this finds lists of figures and never part of a text.
_LIST_OF_FIGURES = re.compile(r"\[\n([-+.\deE,\s]+)\n\s*\]")
_PROBLEM = re.compile(r"(?P<rule>.*?)(?: - at `\$\.?(?P<key>.*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?P<problem>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
_EXPECTED = re.compile(r"Expected (?P<what>.*?)(?:, got .*)?$", re.DOTALL)
_PATH_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_LONGEST_VALUE = 60


class _Problem(Exception):  # noqa: N818 - it is always caught here and told as a `BaselineError`
    """Why a text is no document, and what to do about it; `is_final` when replacing the file would lose something."""

    def __init__(self, problem: str, remedy: str, *, is_final: bool) -> None:
        super().__init__(problem)
        self.remedy = remedy
        self.is_final = is_final


def encode(document: Baseline, *, file: Path) -> bytes:
    """Write a document in its canonical form.

    Args:
        document: what was accepted.
        file: where it will stand; only named in messages.

    Returns:
        UTF-8 with a line end after the last line.

    Raises:
        BaselineError: The reader would refuse it (a zero figure, say): nothing is accepted that cannot be used.
    """
    content = msgspec.to_builtins(document)
    envelope = {"concern": document.concern, "schema_version": document.schema_version}
    text = json.dumps(content | envelope, indent=2, sort_keys=True, ensure_ascii=False)
    raw = (_LIST_OF_FIGURES.sub(_on_one_line, text) + "\n").encode("utf-8", errors="backslashreplace")
    try:
        _document(raw, type(document))
    except _Problem as problem:
        message = f"the baseline {file} cannot be accepted: {problem}\n  {_LOOK}"
        raise BaselineError(message) from problem
    return raw


def decode(raw: bytes, document_type: type[Document], *, file: Path) -> Document:
    """Read a document strictly.

    Args:
        raw: the bytes of the file.
        document_type: the only kind of document that is wanted.
        file: where they stand; only named in messages.

    Raises:
        BrokenBaselineError: The bytes are no JSON, of another kind or an older schema version, or a key is missing,
            unknown, of the wrong type or out of its range. The message names the file, the key, the value and what to
            do.
        BaselineError: The schema version is a newer one.
    """
    try:
        return _document(raw, document_type)
    except _Problem as problem:
        message = f"the baseline {file} cannot be trusted: {problem}\n  {problem.remedy}"
        raise (BaselineError if problem.is_final else BrokenBaselineError)(message) from problem


def _document(raw: bytes, document_type: type[Document]) -> Document:
    content = _parse(raw)
    if not isinstance(content, dict):
        _refuse(f"it must be a JSON object, got: {_shown(content)}")
    _check_envelope(content, document_type)
    figures = {key: value for key, value in content.items() if key not in {"concern", "schema_version"}}
    try:
        return msgspec.convert(figures, document_type, strict=True)
    except msgspec.ValidationError as error:
        _refuse(_in_words(str(error), content))


def _on_one_line(figures: re.Match[str]) -> str:
    return f"[{' '.join(figures[1].split())}]"


def _parse(raw: bytes) -> Any:
    """Parse what is JSON to the letter; Python's reader alone would let NaN, broken text and double keys through."""
    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=_without_duplicates)
        for key, leaf in _leaves(content):
            _check_leaf(key, leaf)
    except UnicodeDecodeError as error:
        _refuse(f"it is not UTF-8 text (byte {error.start})")
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        _refuse(f"it is not whole JSON: {error.msg} ({where})")
    except RecursionError:
        _refuse("it is nested too deeply to be a baseline")
    except ValueError as error:  # a number of thousands of digits
        _refuse(str(error))
    return content


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        _refuse(f"{_printable(twice)}: the key stands twice")
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
        _refuse(f"{_printable(key)}: must be a finite number, got: {_shown(leaf)}")
    if isinstance(leaf, str) and not _is_unicode(leaf):
        _refuse(f"{_printable(key)}: must be Unicode text, got: {_shown(leaf)}")


def _check_envelope(content: dict[str, Any], document_type: type[Baseline]) -> None:
    """Make sure that this is the kind and the version of document that can be read."""
    known = document_type.schema_version
    version = _required(content, "schema_version")
    if type(version) is not int:
        _refuse(f"schema_version: must be a whole number, got: {_shown(version)}")
    versions = f"({version}; this one reads {known})"
    if version > known:
        _refuse(f"schema_version: a newer pytest-diffopt wrote it {versions}", _UPGRADE, is_final=True)
    if version < known:
        _refuse(f"schema_version: an older pytest-diffopt wrote it {versions}")
    concern = _required(content, "concern")
    if concern != document_type.concern:
        _refuse(f"concern: must be {document_type.concern}, got: {_shown(concern)}", _ONE_CASE_ONE_CONCERN)


def _required(content: dict[str, Any], key: str) -> Any:
    if key not in content:
        _refuse(f"{key}: missing")
    return content[key]


def _in_words(problem: str, content: Any) -> str:
    """Say msgspec's finding with its key first and the value that broke the rule last."""
    found = _PROBLEM.fullmatch(problem)
    assert found, "unreachable because the pattern matches any text"  # noqa: S101
    key, rule = found["key"] or "", found["rule"]
    field = _FIELD.fullmatch(rule)
    if field is None:
        must_be = _EXPECTED.sub(r"must be \g<what>", rule).replace("`", "")
        return f"{key}: {must_be}, got: {_shown(_value_at(content, key))}"
    path = f"{key}.{field['name']}" if key else field["name"]
    return f"{path}: missing" if field["problem"] == "missing required" else f"{path}: unknown key"


def _value_at(content: Any, key: str) -> Any:
    """Follow a path such as `sessions[0].samples_ns[2]`; a step that names no single place (`[...]`) ends the way."""
    for index, name in _PATH_STEP.findall(key):
        if name == "...":
            return content
        content = content[int(index)] if index else content[name]
    return content


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _printable(text: str) -> str:
    return text.encode("ascii", errors="backslashreplace").decode()


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."


def _refuse(problem: str, remedy: str = _REPLACE, *, is_final: bool = False) -> NoReturn:
    raise _Problem(problem, remedy, is_final=is_final)
