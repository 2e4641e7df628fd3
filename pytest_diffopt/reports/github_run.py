"""The GitHub Actions job that a session runs in, read from environment variables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class GitHubRun:
    """The environment of a GitHub Actions job; all defaults outside of one.

    Attributes:
        is_active: whether this is a GitHub Actions job, in which annotations can be printed.
        step_summary: the file whose content GitHub shows on the page of the run; None if not set.
        workspace: the folder of the repository's checkout; None if not set.
        base: the remote branch that a pull request targets, such as `origin/main`; empty for other events.
    """

    is_active: bool = False
    step_summary: Path | None = None
    workspace: Path | None = None
    base: str = ""


def github_run(environment: Mapping[str, str]) -> GitHubRun:
    """Read the job from environment variables."""
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
