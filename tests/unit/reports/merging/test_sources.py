"""Reports that cannot be merged are refused, with the files and a hint."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pytest_diffopt.reports.json_report import ReportError
from pytest_diffopt.reports.merging.combining import Expectations, combine
from pytest_diffopt.reports.merging.sources import read_sources
from pytest_diffopt.reports.writing import write_report
from tests.unit.reports.merging.shard_examples import written
from tests.unit.reports.report_examples import ON_GPU, SDXL, SKIPPED, clean, latency, report, syncs

GOOD = clean(SDXL, ON_GPU)


def refusal(*folders: Path) -> list[str]:
    """Read reports that cannot be merged, and return the lines of the error."""
    with pytest.raises(ReportError) as caught:
        read_sources(folders)
    return str(caught.value).splitlines()


def of_version(folder: Path, version: object) -> Path:
    """Write a report with this schema version."""
    path = written(folder, GOOD) / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": version}))
    return folder


def test_a_shard_is_named_by_its_folder(tmp_path: Path) -> None:
    """The folder has the name of the artifact."""
    folders = [written(tmp_path / name, GOOD) for name in ("report-h200", "report-l4")]

    assert [source.name for source in read_sources(folders)] == ["report-h200", "report-l4"]


def test_folders_of_equal_name_are_named_by_their_path(tmp_path: Path) -> None:
    """The path is relative to the common parent folder."""
    folders = [written(tmp_path / name / "report", GOOD, device=name) for name in ("h200", "l4")]

    assert [source.name for source in read_sources(folders)] == ["h200/report", "l4/report"]


def test_a_report_named_twice_is_refused(tmp_path: Path) -> None:
    """Even by different paths."""
    folder = written(tmp_path / "a", GOOD)
    again = tmp_path / "a" / ".." / "a"

    assert refusal(folder, again) == [f"each report must be named once, got {again} twice"]


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    """The message has the missing file."""
    good, empty = written(tmp_path / "a", GOOD), tmp_path / "b"

    assert refusal(good, empty) == [
        f"the report {empty / 'report.json'} cannot be read: No such file or directory",
        "  name the folder that --diffopt-report wrote",
    ]


def test_truncated_json_is_refused(tmp_path: Path) -> None:
    """A killed job can upload such a file."""
    good, cut = written(tmp_path / "a", GOOD), written(tmp_path / "b", GOOD)
    (cut / "report.json").write_bytes((cut / "report.json").read_bytes()[:-3])

    assert refusal(good, cut)[0].startswith(
        f"the report {cut / 'report.json'} cannot be trusted: it is not valid JSON: "
    )


@pytest.mark.parametrize("turned", [False, True])
def test_reports_of_two_versions_name_both_files_and_versions(tmp_path: Path, turned: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """In any order."""
    new, old = written(tmp_path / "new", GOOD), of_version(tmp_path / "old", 1)
    first, second = [(old, 1), (new, 3)] if turned else [(new, 3), (old, 1)]

    assert refusal(first[0], second[0]) == [
        f"reports of different versions cannot be merged: {first[0] / 'report.json'} is of version {first[1]}, "
        f"{second[0] / 'report.json'} of {second[1]}",
        "  run every shard with the same pytest-diffopt",
    ]


def test_two_unknown_versions_are_named_too(tmp_path: Path) -> None:
    """Neither is the version that this pytest-diffopt reads."""
    folders = [of_version(tmp_path / "a", 1), of_version(tmp_path / "b", 3)]

    assert "a/report.json is of version 1, " in refusal(*folders)[0]
    assert refusal(*folders)[0].endswith("b/report.json of 3")


def test_a_common_unknown_version_is_refused(tmp_path: Path) -> None:
    """The error is the one of a single report."""
    folders = [of_version(tmp_path / name, 1) for name in "ab"]

    assert refusal(*folders) == [
        f"the report {folders[0] / 'report.json'} cannot be trusted: schema_version: must be 3, got: 1",
        "  write it again with --diffopt-report",
    ]


def test_the_same_case_on_the_same_gpu_is_refused(tmp_path: Path) -> None:
    """It would count twice."""
    first, second = (
        written(tmp_path / name, [syncs(), latency()][number:], device="L4") for number, name in [(0, "a"), (1, "b")]
    )

    assert refusal(first, second) == [
        f"{latency().nodeid} ran twice on L4: in {first} and in {second}",
        "  name one report of each case: two runs would count as two cases",
    ]


def test_the_same_case_on_another_gpu_or_scale_is_accepted(tmp_path: Path) -> None:
    """Also a case that the other shard skipped."""
    tiny, full = latency(replace(ON_GPU, scale="tiny")), latency()
    folders = [
        written(tmp_path / "tiny", [tiny], device="L4"),
        written(tmp_path / "full", [full], device="L4"),
        written(tmp_path / "other", [full], device="H200"),
        written(tmp_path / "skipped", [syncs()], device="L4", skipped=[replace(SKIPPED[0], nodeid=full.nodeid)]),
    ]

    assert len(read_sources(folders)) == 4


def test_a_merged_report_is_refused(tmp_path: Path) -> None:
    """Its expectations were checked when it was merged."""
    sources = read_sources([written(tmp_path / name, GOOD) for name in "ab"])
    (tmp_path / "merged").mkdir()
    write_report(tmp_path / "merged", combine(sources, Expectations()))

    assert refusal(tmp_path / "merged", written(tmp_path / "c", GOOD)) == [
        f"the report {tmp_path / 'merged/report.json'} is already merged",
        "  name the reports that it was merged from instead",
    ]


def test_a_merged_report_of_one_shard_is_refused(tmp_path: Path) -> None:
    """Its only shard has a name."""
    named = msgspec.structs.replace(report([replace(one, shard="a") for one in GOOD]), shards=[])
    (tmp_path / "merged").mkdir()
    session = read_sources([written(tmp_path / "a", GOOD)])[0].session
    write_report(
        tmp_path / "merged", msgspec.structs.replace(named, shards=[msgspec.structs.replace(session, name="a")])
    )

    assert refusal(tmp_path / "merged")[0].endswith("is already merged")
