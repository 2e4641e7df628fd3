"""`--diffopt-base REF`: every loosened baseline is reported."""

from pathlib import Path

import pytest

from pytest_diffopt.reports.json_report import read_json_report
from tests.integration.injected_verdicts import write_baseline
from tests.unit.paired.repositories import commit, git

GOOD = """
from injected_verdicts import takes

def test_good():
    takes(100)
"""


@pytest.fixture
def change(injected: pytest.Pytester) -> pytest.Pytester:
    """Return a repository with a branch that loosens one baseline, adds one and removes one."""
    injected.makepyfile(test_it=GOOD)
    baselines = injected.path / "baselines/GPU"
    write_baseline(baselines / "slow.json", 100)
    write_baseline(baselines / "gone.json", 100)
    commit(injected.path, {".gitignore": "__pycache__\n"})
    git(injected.path, "checkout", "--quiet", "-b", "change")
    write_baseline(baselines / "slow.json", 200)
    write_baseline(baselines / "new.json", 100)
    (baselines / "gone.json").unlink()
    commit(injected.path, {})
    return injected


def test_the_terminal_lists_loosened_and_removed_baselines(change: pytest.Pytester) -> None:
    """Loosened baselines show both limits; added ones are only counted."""
    base = git(change.path, "rev-parse", "main")[:9]
    result = change.runpytest_inprocess("--diffopt-base", "main")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            f"baselines since main ({base}): 1 loosened, 1 removed, 1 added",
            "  loosened baselines/GPU/slow.json: latency_ns 105 ms -> 210 ms (+100.0 %)",
            "  removed baselines/GPU/gone.json",
            "1 verdict: 1 passed",
        ],
        consecutive=True,
    )


def test_the_summary_of_a_pull_request_lists_every_change(
    change: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The base is GitHub's target branch, on `origin`."""
    git(tmp_path, "clone", "--quiet", "--branch=change", str(change.path), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "page"))
    change.runpytest_inprocess("--rootdir", str(tmp_path / "clone"), "-p", "no:cacheprovider")
    text = (tmp_path / "page").read_text(encoding="utf-8")

    assert "baselines since origin/main (" in text
    assert (
        "| **loosened** | <code>baselines/GPU/slow.json</code> | latency&#95;ns 105 ms -&#62; 210 ms (+100.0 %) "
        "| first accepted |" in text
    )
    assert "| **removed** | <code>baselines/GPU/gone.json</code> |  |  |" in text
    assert "| added | <code>baselines/GPU/new.json</code> |  | first accepted |" in text


def test_the_report_lists_every_change(change: pytest.Pytester) -> None:
    """Both the page and `report.json`, which the merge of shards reads, contain them."""
    change.runpytest_inprocess("--diffopt-base=main", "--diffopt-report=report")
    found = read_json_report(change.path / "report").baselines
    page = (change.path / "report/index.html").read_text(encoding="utf-8")

    assert found
    assert [(one.kind.value, one.path) for one in found.changes] == [
        ("loosened", "baselines/GPU/slow.json"),
        ("removed", "baselines/GPU/gone.json"),
        ("added", "baselines/GPU/new.json"),
    ]
    assert "<strong>loosened</strong></th><td><code>baselines/GPU/slow.json</code></td><td>latency_ns 105 ms" in page


def test_a_shallow_clone_is_reported_as_not_compared(
    change: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the line, no baseline would appear to be loosened. The run passes."""
    git(tmp_path, "clone", "--quiet", "--depth=1", "--branch=change", f"file://{change.path}", "clone")
    monkeypatch.chdir(tmp_path / "clone")
    result = change.runpytest_inprocess("--rootdir", str(tmp_path / "clone"), "--diffopt-base=origin/main")

    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "baselines were not compared with origin/main: this shallow clone does not contain the start of the "
            "branch: fetch the whole history (fetch-depth: 0)"
        ]
    )


def test_the_ini_option_compares_in_every_run(change: pytest.Pytester) -> None:
    """With `diffopt_base = main`."""
    change.makeini("[pytest]\ndiffopt_base = main")

    change.runpytest_inprocess().stdout.fnmatch_lines(["baselines since main (*): 1 loosened, 1 removed, 1 added"])


def test_without_a_base_nothing_is_compared(change: pytest.Pytester) -> None:
    """Without `--diffopt-base` and outside of a pull request."""
    change.runpytest_inprocess().stdout.no_fnmatch_line("*baselines since*")
