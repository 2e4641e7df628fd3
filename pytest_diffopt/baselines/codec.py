"""A document to its one canonical text and back; the way back believes nothing.

The text is JSON with sorted keys, two blanks of indent and a list of figures on one line, so that a diff shows what
changed and nothing else. It holds no time and no machine path: accepting the same figures again changes no byte.
"""

import json
import re
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from pytest_diffopt.baselines.documents import Baseline
from pytest_diffopt.baselines.strict_json import JSONProblem, described, parse, shown
from pytest_diffopt.errors import BaselineError, BrokenBaselineError

Document = TypeVar("Document", bound=Baseline)

_REPLACE = "restore the file from version control, or accept new figures with --diffopt-update all"
_UPGRADE = "upgrade pytest-diffopt: what it wrote must not be replaced by less"
_LOOK = "it would guard nothing: look at what was measured"
_ONE_CASE_ONE_CONCERN = "a case has one baseline: check each concern in a test of its own, then --diffopt-update all"
# A line break cannot stand inside a JSON string, so this finds lists of figures and never part of a text.
_LIST_OF_FIGURES = re.compile(r"\[\n([-+.\deE,\s]+)\n\s*\]")


class _Problem(JSONProblem):
    """Why a text is no document, and what to do about it; `is_final` when replacing the file would lose something."""

    def __init__(self, problem: str, hint: str, *, is_final: bool) -> None:
        super().__init__(problem)
        self.hint = hint
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
    except JSONProblem as problem:
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
    except JSONProblem as problem:
        told = problem if isinstance(problem, _Problem) else _Problem(str(problem), _REPLACE, is_final=False)
        message = f"the baseline {file} cannot be trusted: {told}\n  {told.hint}"
        raise (BaselineError if told.is_final else BrokenBaselineError)(message) from problem


def _document(raw: bytes, document_type: type[Document]) -> Document:
    content = parse(raw)
    if not isinstance(content, dict):
        _refuse(f"it must be a JSON object, got: {shown(content)}")
    _check_envelope(content, document_type)
    figures = {key: value for key, value in content.items() if key not in {"concern", "schema_version"}}
    try:
        return msgspec.convert(figures, document_type, strict=True)
    except msgspec.ValidationError as error:
        _refuse(described(str(error), content))


def _on_one_line(figures: re.Match[str]) -> str:
    return f"[{' '.join(figures[1].split())}]"


def _check_envelope(content: dict[str, Any], document_type: type[Baseline]) -> None:
    """Make sure that this is the kind and the version of document that can be read."""
    known = document_type.schema_version
    version = _required(content, "schema_version")
    if type(version) is not int:
        _refuse(f"schema_version: must be a whole number, got: {shown(version)}")
    versions = f"({version}; this one reads {known})"
    if version > known:
        _refuse(f"schema_version: a newer pytest-diffopt wrote it {versions}", _UPGRADE, is_final=True)
    if version < known:
        _refuse(f"schema_version: an older pytest-diffopt wrote it {versions}")
    concern = _required(content, "concern")
    if concern != document_type.concern:
        _refuse(f"concern: must be {document_type.concern}, got: {shown(concern)}", _ONE_CASE_ONE_CONCERN)


def _required(content: dict[str, Any], key: str) -> Any:
    if key not in content:
        _refuse(f"{key}: missing")
    return content[key]


def _refuse(problem: str, hint: str = _REPLACE, *, is_final: bool = False) -> NoReturn:
    raise _Problem(problem, hint, is_final=is_final)
