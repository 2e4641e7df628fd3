"""`report.json`: the whole ledger, for machines, and the strict way back from it."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import msgspec

from pytest_diffopt.baselines.strict_json import JSONProblem, described, parse, refuse, shown
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.reports.document import SCHEMA_VERSION, Report
from pytest_diffopt.reports.recorded import record_type
from pytest_diffopt.reports.typed_json import fitted

#: What the file is called in a report's folder.
FILE_NAME = "report.json"
#: Reports are read into memory whole; of the 500 cases that a page must hold one takes 2 MB.
MAX_BYTES = 256 * 2**20


#: What to do about a report that somebody changed.
HINT = "write it again with --diffopt-report"


class ReportError(DiffoptError):
    """A report cannot be read, trusted or written."""


class ReportVersionError(ReportError):
    """A report is of a version that this pytest-diffopt does not read.

    Attributes:
        path: the file.
        version: what it says of itself.
    """

    def __init__(self, path: Path, version: object) -> None:
        problem = f"schema_version: must be {SCHEMA_VERSION}, got: {shown(version)}"
        super().__init__(f"the report {path} cannot be trusted: {problem}\n  {HINT}")
        self.path = path
        self.version = version


def prepare_folder(folder: Path) -> None:
    """Make the report's folder, before a run that would end without its report.

    Raises:
        DiffoptError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        msg = f"--diffopt-report must name a folder that can be written, got: {folder} ({error.strerror})"
        raise DiffoptError(msg) from error


def write_json_report(folder: Path, report: Report) -> Path:
    """Write a report into `report.json`, in a folder that `prepare_folder` made.

    Numbers that JSON cannot hold are written as the texts `inf`, `-inf` and `nan`.

    Raises:
        ReportError: the file cannot be written.
    """
    path = folder / FILE_NAME
    try:
        path.write_bytes(encoded(report))
    except OSError as error:
        msg = f"the report {path} cannot be written: {error.strerror}"
        raise ReportError(msg) from error
    return path


def encoded(report: Report) -> bytes:
    """Return what stands in the file."""
    text = json.dumps(_finite(msgspec.to_builtins(report)), indent=2, sort_keys=True, allow_nan=False)
    return (text + "\n").encode()


def read_json_report(folder: Path) -> Report:
    """Read the `report.json` of a folder, strictly.

    Raises:
        ReportVersionError: it is of another version.
        ReportError: there is none, or a key is missing, unknown, stands twice or holds what it may not; the message
            names the file, the key, the value and what to do.
    """
    path = folder / FILE_NAME
    try:
        if path.stat().st_size > MAX_BYTES:
            refuse(f"it is larger than {MAX_BYTES // 2**20} MiB")
        content = _object(path.read_bytes())
        version = content.get("schema_version")
        if version != SCHEMA_VERSION or type(version) is not int:
            raise ReportVersionError(path, version)
        return _decode(content)
    except OSError as error:
        msg = f"the report {path} cannot be read: {error.strerror}\n  name the folder that --diffopt-report wrote"
        raise ReportError(msg) from error
    except JSONProblem as problem:
        msg = f"the report {path} cannot be trusted: {problem}\n  {HINT}"
        raise ReportError(msg) from problem


@contextmanager
def only_sense(folders: object) -> Iterator[None]:
    """Show a report that somebody may have changed: every value is of its type, and may still be no figure of anything.

    Raises:
        ReportError: what is shown within divides by a figure of zero, or orders one that is no number.
    """
    try:
        yield
    except (ArithmeticError, ValueError) as error:
        msg = f"the report {folders} cannot be shown, a figure of it makes no sense: {error}\n  {HINT}"
        raise ReportError(msg) from error


def _object(raw: bytes) -> dict[str, Any]:
    content = parse(raw)
    if not isinstance(content, dict):
        refuse(f"it must be a JSON object, got: {shown(content)}")
    return content


def _decode(content: dict[str, Any]) -> Report:
    content = fitted(content, Report)
    report: Report = _converted(content, Report, content)
    for index, entry in enumerate(report.verdicts):
        record_key = f"verdicts[{index}].record"
        known_type = record_type(entry.verdict.concern, entry.record)
        record = fitted(entry.record, known_type, record_key)
        _converted(record, known_type, content, record_key)
        entry.record.update(record)
    _check_counts(report)
    _check_shards(report)
    return report


def _converted(value: Any, type_: Any, content: Any, key: str = "") -> Any:
    try:
        return msgspec.convert(value, type_, strict=True)
    except msgspec.ValidationError as error:
        problem = str(error) if " - at `$" in str(error) or not key else f"{error} - at `$`"
        refuse(described(problem.replace(" - at `$", f" - at `$.{key}") if key else problem, content))


def _check_counts(report: Report) -> None:
    """Refuse totals that are not those of the verdicts: somebody cut the file."""
    found: dict[str, int] = {}
    for entry in report.verdicts:
        found[entry.verdict.outcome] = found.get(entry.verdict.outcome, 0) + 1
    if found != report.counts:
        refuse(f"counts: must be those of the verdicts, {shown(found)}, got: {shown(report.counts)}")


def _check_shards(report: Report) -> None:
    """Refuse what is from no shard, or from one of two."""
    names = [shard.name for shard in report.shards]
    if len(set(names)) < len(names) or not names:
        refuse(f"shards: must be there, each with a name of its own, got: {shown(names)}")
    said = {
        "verdicts": [entry.shard for entry in report.verdicts],
        "broken": [test.shard for test in report.broken],
        "skipped": [case.shard for case in report.skipped],
    }
    for key, found in said.items():
        for index, name in enumerate(found):
            if name not in names:
                refuse(f"{key}[{index}].shard: must be one of {shown(names)}, got: {shown(name)}")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
