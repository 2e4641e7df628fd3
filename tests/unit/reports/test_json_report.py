"""`report.json` is complete, matches its schema, and is read only if it is valid."""

import contextlib
import copy
import json
import math
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_diffopt.reports.document import Report
from pytest_diffopt.reports.json_report import ReportError, encoded, read_json_report, write_json_report
from pytest_diffopt.reports.schema import FILE_NAME, report_schema
from pytest_diffopt.session.ledger_entries import to_plain
from tests.unit.reports.report_examples import full_report

EVERYTHING = full_report()
WRITTEN: dict[str, Any] = json.loads(encoded(EVERYTHING))
HINT_LINE = "  write it again with --diffopt-report"


@pytest.fixture
def written() -> dict[str, Any]:
    """Return the JSON of a report with every kind of finding."""
    return WRITTEN


def read(folder: Path, content: object) -> Report:
    """Write this content as a report, and read it."""
    (folder / "report.json").write_text(json.dumps(content), encoding="utf-8")
    return read_json_report(folder)


def as_json(value: object) -> Any:
    """Return a value after a JSON round trip: tuples become lists."""
    return json.loads(json.dumps(value))


def refusal(folder: Path, content: object) -> list[str]:
    """Read an invalid report, and return the lines of the error."""
    with pytest.raises(ReportError) as caught:
        read(folder, content)
    return str(caught.value).splitlines()


def changed(content: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy with another value at a path, such as `verdicts.0.record.subject`."""
    copied = copy.deepcopy(content)
    *way, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    place: Any = copied
    for step in way:
        place = place[step]
    place[last] = value
    return copied


def test_a_report_survives_a_round_trip(tmp_path: Path, written: dict[str, Any]) -> None:
    """Every verdict, record and number, including infinity."""
    back = read(tmp_path, written)
    equal = next(entry for entry in back.verdicts if entry.verdict.figures.get("psnr_db") == math.inf)

    assert [entry.verdict for entry in back.verdicts] == [entry.verdict for entry in EVERYTHING.verdicts]
    assert as_json(to_plain(back.verdicts)) == as_json(to_plain(EVERYTHING.verdicts))
    assert (back.broken, back.skipped) == (EVERYTHING.broken, EVERYTHING.skipped)
    assert back.unmet_requirements == EVERYTHING.unmet_requirements
    assert equal.record["differences"][0]["psnr_db"] == math.inf


def test_the_shipped_schema_matches_the_types() -> None:
    """If it does not, run `python -m tools.report_schema`."""
    shipped = files("pytest_diffopt.reports").joinpath(FILE_NAME).read_text(encoding="utf-8")

    assert json.loads(shipped) == as_json(report_schema())


def test_a_report_matches_its_schema(written: dict[str, Any]) -> None:
    """An independent validator accepts every kind of record."""
    validator = jsonschema.Draft202012Validator(report_schema())

    validator.check_schema(report_schema())
    assert [error.message for error in validator.iter_errors(written)] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("color", "red"),
        ("shards.0.environment.color", "red"),
        ("verdicts.0.verdict.outcome", "fine"),
        ("verdicts.0.record.color", "red"),
        ("verdicts.1.record.num_steps", "6"),
        ("skipped.0.line", "seven"),
        ("schema_version", 1),
    ],
)
def test_schema_and_reader_refuse_the_same_content(
    tmp_path: Path, written: dict[str, Any], path: str, value: object
) -> None:
    """Unknown keys and values of a wrong type, at any depth."""
    content = changed(written, path, value)

    assert not jsonschema.Draft202012Validator(report_schema()).is_valid(content)
    assert refusal(tmp_path, content)[-1] == HINT_LINE


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("schema_version", 2, "schema_version: must be 3, got: 2"),
        ("schema_version", True, "schema_version: must be 3, got: true"),
        ("color", "red", "color: unknown key"),
        ("verdict", [], "verdict: unknown key (did you mean 'verdicts'?)"),
        ("shards.0.scale", "huge", "shards[0].scale: Invalid enum value 'huge', got: \"huge\""),
        ("verdicts.0.verdict.summary", 7, "verdicts[0].verdict.summary: must be str, got: 7"),
        ("verdicts.1.record.num_step", 7, "verdicts[1].record.num_step: unknown key (did you mean 'num_steps'?)"),
        ("verdicts.1.record.num_steps", "6", 'verdicts[1].record.num_steps: must be int, got: "6"'),
        (
            "verdicts.1.record.syncs.0.where.line",
            None,
            "verdicts[1].record.syncs[0].where.line: must be int, got: null",
        ),
        ("verdicts.1.record", {}, "verdicts[1].record.subject: missing"),
        ("verdicts.6.verdict.figures.ssim", "large", "verdicts[6].verdict.figures[...]: must be float, got: "),
        ("counts", {"passed": 1}, "counts: must match the verdicts, "),
        ("shards", [], "shards: must be at least one, with unique names, got: []"),
        ("shards", [WRITTEN["shards"][0]] * 2, 'shards: must be at least one, with unique names, got: ["", ""]'),
        ("verdicts.2.shard", "h100", 'verdicts[2].shard: must be one of [""], got: "h100"'),
        ("broken.0.shard", "h100", 'broken[0].shard: must be one of [""], got: "h100"'),
        ("skipped.1.shard", "h100", 'skipped[1].shard: must be one of [""], got: "h100"'),
    ],
)
def test_the_error_of_an_invalid_report_names_the_key(
    tmp_path: Path, written: dict[str, Any], path: str, value: object, problem: str
) -> None:
    """The message also has the file, the value and a hint."""
    lines = refusal(tmp_path, changed(written, path, value))

    assert lines[0].startswith(f"the report {tmp_path / 'report.json'} cannot be trusted: {problem}")
    assert lines[1] == HINT_LINE


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "it is not valid JSON: Expecting value (line 1, column 1)"),
        (b"[]", "it must be a JSON object, got: []"),
        (b'{"schema_version": 1, "schema_version": 1}', "schema_version: duplicate key"),
        (b'{"schema_version": NaN}', "schema_version: must be a finite number, got: NaN"),
        (b"\xff", "it is not UTF-8 text (byte 0)"),
        (b"{}", "schema_version: must be 3, got: null"),
    ],
)
def test_a_file_that_is_no_report_is_refused(tmp_path: Path, raw: bytes, problem: str) -> None:
    """Invalid UTF-8, invalid JSON, and JSON of another structure."""
    (tmp_path / "report.json").write_bytes(raw)
    with pytest.raises(ReportError) as caught:
        read_json_report(tmp_path)

    assert str(caught.value).splitlines()[0] == f"the report {tmp_path / 'report.json'} cannot be trusted: {problem}"


def test_a_folder_without_a_report_is_an_error(tmp_path: Path) -> None:
    """The message has the missing file and a hint."""
    with pytest.raises(ReportError) as caught:
        read_json_report(tmp_path)

    assert str(caught.value).splitlines() == [
        f"the report {tmp_path / 'report.json'} cannot be read: No such file or directory",
        "  name the folder that --diffopt-report wrote",
    ]


def test_an_unwritable_report_is_an_error(tmp_path: Path) -> None:
    """The folder can be deleted during the run."""
    with pytest.raises(ReportError, match=r"report\.json cannot be written: No such file or directory"):
        write_json_report(tmp_path / "gone", EVERYTHING)


@cache
def places() -> list[str]:
    """Return the path of every value of a report."""
    found: list[str] = []

    def walk(value: Any, path: str) -> None:
        found.append(path)
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, child in children:
            if "." not in str(name):
                walk(child, f"{path}.{name}" if path else str(name))

    walk(as_json(WRITTEN), "")
    return found[1:]


@given(
    path=st.sampled_from(places()),
    value=st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.just([]), st.just({})
    ),
)
@settings(max_examples=200, deadline=None)
def test_any_value_at_any_path_is_read_or_refused(path: str, value: object) -> None:
    """The result is a report or a `ReportError`, and never another exception."""
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ReportError):
        assert isinstance(read(Path(folder), changed(WRITTEN, path, value)), Report)
