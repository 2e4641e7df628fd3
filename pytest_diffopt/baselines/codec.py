"""Encode a document as its one canonical text, and decode it strictly.

The text is JSON with sorted keys, an indent of two spaces and each list of figures on one line, so that a diff shows
only what changed. It contains no time and no machine path: accepting the same figures again changes no byte.
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
_UPGRADE = "upgrade pytest-diffopt: an older version must not replace this file"
_LOOK = "a baseline with this value would guard nothing: check what was measured"
_ONE_CASE_ONE_CONCERN = "a case has one baseline: check each concern in its own test, then run --diffopt-update all"
# A JSON string contains no line break, so this matches lists of figures and never part of a text.
_LIST_OF_FIGURES = re.compile(r"\[\n([-+.\deE,\s]+)\n\s*\]")


class _Problem(JSONProblem):
    """Why a text is not a valid document, and what to do; `is_final` if the file must not be replaced."""

    def __init__(self, problem: str, hint: str, *, is_final: bool) -> None:
        super().__init__(problem)
        self.hint = hint
        self.is_final = is_final


def encode(document: Baseline, *, file: Path) -> bytes:
    """Encode a document in its canonical form.

    Args:
        document: the accepted document.
        file: the path of its file, for error messages.

    Returns:
        UTF-8 text with a newline after the last line.

    Raises:
        BaselineError: `decode` would refuse the text, for example because of a figure of zero.
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
    """Decode a document strictly.

    Args:
        raw: the bytes of the file.
        document_type: the expected kind of document.
        file: the path of the file, for error messages.

    Raises:
        BrokenBaselineError: The bytes are not JSON, or have another concern or an older schema version, or a key is
            missing, unknown, of the wrong type or out of range. The message names the file, the key, the value and
            what to do.
        BaselineError: The schema version is newer.
    """
    try:
        return _document(raw, document_type)
    except JSONProblem as problem:
        found = problem if isinstance(problem, _Problem) else _Problem(str(problem), _REPLACE, is_final=False)
        message = f"the baseline {file} cannot be trusted: {found}\n  {found.hint}"
        raise (BaselineError if found.is_final else BrokenBaselineError)(message) from problem


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
    """Check the concern and the schema version."""
    known = document_type.schema_version
    version = _required(content, "schema_version")
    if type(version) is not int:
        _refuse(f"schema_version: must be a whole number, got: {shown(version)}")
    versions = f"(version {version}; this one reads {known})"
    if version > known:
        _refuse(f"schema_version: written by a newer pytest-diffopt {versions}", _UPGRADE, is_final=True)
    if version < known:
        _refuse(f"schema_version: written by an older pytest-diffopt {versions}")
    concern = _required(content, "concern")
    if concern != document_type.concern:
        _refuse(f"concern: must be {document_type.concern}, got: {shown(concern)}", _ONE_CASE_ONE_CONCERN)


def _required(content: dict[str, Any], key: str) -> Any:
    if key not in content:
        _refuse(f"{key}: missing")
    return content[key]


def _refuse(problem: str, hint: str = _REPLACE, *, is_final: bool = False) -> NoReturn:
    raise _Problem(problem, hint, is_final=is_final)
