"""The environment of a GitHub Actions job is read, and other machines are not mistaken for one."""

from pathlib import Path

from pytest_diffopt.reports.github_run import GitHubRun, github_run

JOB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_STEP_SUMMARY": "/runner/summary",
    "GITHUB_WORKSPACE": "/runner/project",
    "GITHUB_BASE_REF": "main",
}


def test_a_job_of_a_pull_request() -> None:
    """Its base is the remote branch, since a checkout has no local one."""
    assert github_run(JOB) == GitHubRun(
        is_active=True, step_summary=Path("/runner/summary"), workspace=Path("/runner/project"), base="origin/main"
    )


def test_a_job_of_another_event_has_no_base() -> None:
    """`GITHUB_BASE_REF` is set only for pull requests."""
    assert github_run({"GITHUB_ACTIONS": "true"}) == GitHubRun(is_active=True)


def test_outside_of_github_actions_every_field_is_empty() -> None:
    """Even if some of the variables are set."""
    assert github_run({name: value for name, value in JOB.items() if name != "GITHUB_ACTIONS"}) == GitHubRun()
