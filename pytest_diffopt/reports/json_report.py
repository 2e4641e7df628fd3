"""Write `report.json`, and read it back strictly."""

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

#: The name of the file in a report's folder.
FILE_NAME = "report.json"
#: A larger file is refused, because it is read into memory as a whole; a report of 500 cases takes 2 MB.
MAX_BYTES = 256 * 2**20
#: The hint of errors about a file that was changed or damaged.
HINT = "write it again with --diffopt-report"


class ReportError(DiffoptError):
    """A report cannot be read, trusted or written."""


class ReportVersionError(ReportError):
    """A report has a schema version that this pytest-diffopt does not read.

    Attributes:
        path: the file.
        version: the value of its `schema_version`.
    """

    def __init__(self, path: Path, version: object) -> None:
        problem = f"schema_version: must be {SCHEMA_VERSION}, got: {shown(version)}"
        super().__init__(f"the report {path} cannot be trusted: {problem}\n  {HINT}")
        self.path = path
        self.version = version


def prepare_folder(folder: Path) -> None:
    """Create the report's folder, so that an unusable path fails before the tests run.

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
    """Write a report into `report.json`, in an existing folder.

    Non-finite numbers are written as the strings `inf`, `-inf` and `nan`.

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
    """Return the content of the file."""
    text = json.dumps(_finite(msgspec.to_builtins(report)), indent=2, sort_keys=True, allow_nan=False)
    return (text + "\n").encode()


def read_json_report(folder: Path) -> Report:
    """Read and validate the `report.json` of a folder.

    Raises:
        ReportVersionError: it has another schema version.
        ReportError: the file does not exist, or a key is missing, unknown, repeated or has an invalid value. The
            message has the file, the key, the value and a hint.
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
def invalid_figures_refused(folders: object) -> Iterator[None]:
    """Turn an arithmetic error in the block into a `ReportError` about a file that was changed by hand.

    A value can have the right type and still be invalid, such as a latency of zero.

    Raises:
        ReportError: the block divides by zero, or raises `ValueError` for a figure that is not a number.
    """
    try:
        yield
    except (ArithmeticError, ValueError) as error:
        msg = f"the report {folders} cannot be shown: one of its figures is invalid: {error}\n  {HINT}"
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
    """Refuse totals that do not match the verdicts: verdicts were removed or added by hand."""
    found: dict[str, int] = {}
    for entry in report.verdicts:
        found[entry.verdict.outcome] = found.get(entry.verdict.outcome, 0) + 1
    if found != report.counts:
        refuse(f"counts: must match the verdicts, {shown(found)}, got: {shown(report.counts)}")


def _check_shards(report: Report) -> None:
    """Refuse shards without unique names, and findings of an unknown shard."""
    names = [shard.name for shard in report.shards]
    if len(set(names)) < len(names) or not names:
        refuse(f"shards: must be at least one, with unique names, got: {shown(names)}")
    references = {
        "verdicts": [entry.shard for entry in report.verdicts],
        "broken": [test.shard for test in report.broken],
        "skipped": [case.shard for case in report.skipped],
    }
    for key, found in references.items():
        for index, name in enumerate(found):
            if name not in names:
                refuse(f"{key}[{index}].shard: must be one of {shown(names)}, got: {shown(name)}")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
