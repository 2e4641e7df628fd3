"""The environment of a job is read, and no other machine is taken for one."""

from pathlib import Path

from pytest_diffopt.reports.github_run import GitHubRun, github_run

JOB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_STEP_SUMMARY": "/runner/summary",
    "GITHUB_WORKSPACE": "/runner/project",
    "GITHUB_BASE_REF": "main",
}


def test_a_job_of_a_pull_request() -> None:
    """Its base is the remote branch, for a checkout has no other."""
    assert github_run(JOB) == GitHubRun(
        is_active=True, step_summary=Path("/runner/summary"), workspace=Path("/runner/project"), base="origin/main"
    )


def test_a_job_that_is_no_pull_request_has_no_base() -> None:
    """Nothing says what it started from."""
    assert github_run({"GITHUB_ACTIONS": "true"}) == GitHubRun(is_active=True)


def test_elsewhere_nothing_is_written_for_github() -> None:
    """Also where somebody left one of the variables behind."""
    assert github_run({name: value for name, value in JOB.items() if name != "GITHUB_ACTIONS"}) == GitHubRun()
