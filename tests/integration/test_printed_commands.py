"""No name, test id, text of an exception or path is a workflow command where a session or a command prints it."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from pytest_diffopt.__main__ import main
from pytest_diffopt.records import Subject
from pytest_diffopt.reports.json_report import write_json_report
from pytest_diffopt.session.ledger import BrokenTest, CaseResult
from tests.unit.reports.report_examples import full_report

STOLEN = "name\n::error::stolen ##[add-mask]stolen\r::stop-commands::stolen"
PROJECT = r"""
import pytest
from pytest_diffopt import assert_no_graph_breaks, conclude_own_guard
from pytest_diffopt.errors import PipelineError

def call():
    return 1

call.__name__ = STOLEN

def test_own_guard():
    facts = ["::set-output name=a::stolen", "a\n  ::error::stolen", "##[add-matcher]stolen"]
    conclude_own_guard(call, guard=STOLEN, figures={"n": 1}, failure=STOLEN, facts=facts, hint=STOLEN)

def test_passed():
    conclude_own_guard(call, guard=STOLEN, figures={"n": 1})

def test_error():
    raise PipelineError("the build failed\n" + STOLEN)

@pytest.mark.parametrize("name", ["##[error]stolen"])
@pytest.mark.diffopt
def test_skipped(name):
    pytest.skip(STOLEN)
"""


def commands(lines: Iterable[str]) -> list[str]:
    """Return the lines that a GitHub Actions runner reads as commands: `Runner.Common/ActionCommand.cs`."""
    return [line for line in lines if line.lstrip().startswith("::") or "##[" in line]


def test_a_session_prints_no_command_of_a_project(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in a failure, nor in the section of this plugin, nor in an annotation."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    project.makepyfile(test_it=f"STOLEN = {STOLEN!r}\n{PROJECT}")
    result = project.runpytest_inprocess("-v", "-p", "no:cacheprovider")
    section = result.outlines[next(n for n, line in enumerate(result.outlines) if re.match("=+ diffopt =+", line)) :]
    failures = [line for line in result.outlines if "stolen" in line and not line.startswith(("test_it.py", "SKIPPED"))]

    result.assert_outcomes(failed=2, passed=1, skipped=1)
    assert any("stolen" in line for line in section)
    assert len(failures) > 5
    assert commands(failures) == []


def test_the_commands_print_none_of_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job of main reads the reports of jobs that run code of pull requests."""
    original = full_report()
    (entry, *entries) = original.verdicts
    verdict = replace(entry.verdict, summary=STOLEN, figures={}, subject=Subject(pipeline=STOLEN, recipe=STOLEN))
    report = msgspec.structs.replace(
        original,
        verdicts=[replace(entry, nodeid=STOLEN, verdict=verdict), *entries],
        broken=[BrokenTest(nodeid=STOLEN, reason=STOLEN, details=STOLEN)],
        skipped=[CaseResult(nodeid=STOLEN, file="a.py", line=1, skip_reason=STOLEN)],
    )
    folder = tmp_path / "reports\n::error::stolen"
    folder.mkdir()
    write_json_report(folder, report)

    assert main(["merge", str(folder), "--into", str(tmp_path / "merged\n::error::stolen")]) == 1
    assert main(["report", str(folder)]) == 0
    assert main(["report", str(folder / "a\n::error::stolen")]) == 2
    assert main(["summary", str(folder)]) == 0
    printed = capsys.readouterr()
    lines = [*re.split(r"[\r\n]", printed.out), *re.split(r"[\r\n]", printed.err)]
    assert len([line for line in lines if "stolen" in line]) > 10
    assert commands(lines) == []
