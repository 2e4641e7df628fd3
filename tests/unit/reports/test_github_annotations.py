"""Failures become workflow commands for the right line, and no text can break out of a command."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from pytest_diffopt.guards.syncs import AllowedSyncs, judge_syncs
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern, ObservedSync, Subject, SyncRecord
from pytest_diffopt.records.code_location import CodeLocation
from pytest_diffopt.reports.github_annotations import annotation_lines
from pytest_diffopt.session.ledger import CaseResult, Ledger
from pytest_diffopt.session.ledger_entries import entry_of
from tests.unit.reports.verdict_examples import entry, ledger

TEST = "tests/test_it.py::test_it"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with a pipeline and its test."""
    for name in ("own/pipe.py", "tests/test_it.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    return tmp_path


def syncs_at(*places: tuple[str, int], nodeid: str = TEST, allow: Iterable[AllowedSyncs] = ()) -> Ledger:
    """Return a ledger in which the denoise loop syncs at these lines."""
    syncs = tuple(
        ObservedSync(
            kind="read by the host",
            operation=".item()",
            where=CodeLocation(file=file, line=line, function="gate"),
            step=1,
        )
        for file, line in places
    )
    record = SyncRecord(subject=Subject(pipeline="sdxl"), num_steps=4, syncs=syncs, seen_by="me")
    found = Ledger(entries=[entry_of(nodeid, judge_syncs(record, allow=list(allow)), record)])
    found.cases[nodeid] = CaseResult(nodeid=nodeid, file="tests/test_it.py", line=3)
    return found


def annotated(found: Ledger, project: Path, *, workspace: Path | None = None) -> list[str]:
    """Return the commands for a run in the project's own folder."""
    return list(annotation_lines(found, root=project, folder=project, workspace=workspace))


def test_a_line_of_user_code_is_annotated_once(project: Path) -> None:
    """The annotation has the headline and the test; two syncs at one line give one annotation."""
    assert annotated(syncs_at(("own/pipe.py", 7), ("own/pipe.py", 7)), project) == [
        "::error file=own/pipe.py,line=7,title=diffopt%3A syncs::the denoise loop synchronizes the CPU with the GPU: "
        f"2 syncs per step (0 allowed) [{TEST}]"
    ]


def test_a_line_outside_of_the_repository_annotates_the_test(project: Path) -> None:
    """The file of another repository cannot be annotated; the message has its path and line."""
    assert annotated(syncs_at(("diffusers/schedulers/scheduling_ddim.py", 449)), project) == [
        "::error file=tests/test_it.py,line=3,title=diffopt%3A syncs::the denoise loop synchronizes the CPU with "
        f"the GPU: 1 sync per step (0 allowed) (at diffusers/schedulers/scheduling_ddim.py:449) [{TEST}]"
    ]


def test_paths_are_relative_to_the_repository(project: Path) -> None:
    """The project can be a subfolder of a larger repository."""
    (line,) = annotated(syncs_at(("own/pipe.py", 7)), project, workspace=project.parent)

    assert line.startswith(f"::error file={project.name}/own/pipe.py,line=7,")


def test_an_allowed_sync_is_not_annotated(project: Path) -> None:
    """The record contains every sync, the explanation only those that exceed the limit; 44 must not match 449."""
    (project / "own/other.py").write_text("")
    allow = [AllowedSyncs(where="other.py:gate", per_step=1, reason="needed")]
    found = syncs_at(("own/pipe.py", 449), ("own/other.py", 44), ("own/pipe.py", 449), allow=allow)

    assert [line.split(",title")[0] for line in annotated(found, project)] == ["::error file=own/pipe.py,line=449"]


def test_one_place_of_several_tests_is_annotated_once(project: Path) -> None:
    """The annotation has the first test and the number of further tests."""
    found = syncs_at(("own/pipe.py", 7))
    found.entries.extend([*syncs_at(("own/pipe.py", 7), nodeid="b").entries, *found.entries])
    (line,) = annotated(found, project)

    assert line.endswith(f"[{TEST} and 1 more test]")


def test_passed_verdicts_and_other_concerns_are_not_annotated(project: Path) -> None:
    """A slower call has no line of code."""
    found = ledger(
        entry(concern=Concern.SYNCS), entry(Outcome.REGRESSED, Concern.LATENCY, explanation=("diffopt: slower",))
    )

    assert annotated(found, project) == []


def test_text_cannot_break_out_of_the_command(project: Path) -> None:
    """A newline would start another command, a comma another property."""
    (project / "own/a,b:c%.py").write_text("")
    found = syncs_at(("own/a,b:c%.py", 7), nodeid="test[\n::set-output]")
    (line,) = annotated(found, project)

    assert line.startswith("::error file=own/a%2Cb%3Ac%25.py,line=7,title=")
    assert line.endswith("[test[%0A::set-output]]")
    assert "\n" not in line


def test_annotations_beyond_githubs_limit_become_a_notice(project: Path) -> None:
    """GitHub silently drops the eleventh error of a step."""
    lines = annotated(syncs_at(*(("own/pipe.py", line) for line in range(1, 14))), project)

    assert len(lines) == 11
    assert lines[-1] == "::notice title=diffopt::3 more places are in the summary"
