"""The job of GitHub Actions that a session runs in, as its environment tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class GitHubRun:
    """What a job of GitHub Actions says of itself; everything is empty outside of one.

    Attributes:
        is_active: this is such a job, so what is written to its output may be an annotation.
        step_summary: the file that is shown on the page of the run; None when there is none.
        workspace: the folder that the repository was checked out into.
        base: the branch that a pull request will go to, as git names it here (`origin/main`); empty for other events.
    """

    is_active: bool = False
    step_summary: Path | None = None
    workspace: Path | None = None
    base: str = ""


def github_run(environment: Mapping[str, str]) -> GitHubRun:
    """Read the environment."""
    if environment.get("GITHUB_ACTIONS") != "true":
        return GitHubRun()
    summary, workspace, branch = (
        environment.get(f"GITHUB_{name}", "") for name in ("STEP_SUMMARY", "WORKSPACE", "BASE_REF")
    )
    return GitHubRun(
        is_active=True,
        step_summary=Path(summary) if summary else None,
        workspace=Path(workspace) if workspace else None,
        base=f"origin/{branch}" if branch else "",
    )
