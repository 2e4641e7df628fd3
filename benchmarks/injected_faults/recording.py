"""What was seen of each bug, a line of JSON each, so that a long run can be taken up where it stopped."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.injected_faults.catalogue import BUGS
from benchmarks.injected_faults.guarding import Answer, Color, Guard
from benchmarks.injected_faults.results import as_plain
from benchmarks.injected_faults.slices import SliceCheck
from benchmarks.injected_faults.trials import ImageSeen, Trial
from pytest_diffopt.baselines.git import git_output
from pytest_diffopt.errors import DiffoptError

_ROOT = Path(__file__).parents[2]


class RecordingError(DiffoptError):
    """A file of results cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A trial, and when it was made.

    Attributes:
        trial: the trial.
        revision: the commit that was measured; a `+` behind it where files were changed since.
        seconds: how long it took on the clock, its clean pipeline included where it was the first of it.
    """

    trial: Trial
    revision: str
    seconds: float


def revision_now() -> str:
    """Name the commit that is measured.

    Raises:
        GitError: git does not know.
    """
    changed = "+" if git_output(_ROOT, "status", "--porcelain", "--untracked-files=no") else ""
    return git_output(_ROOT, "rev-parse", "--short=10", "HEAD") + changed


def append(file: Path, recorded: Recorded) -> None:
    """Write a line at the end of a file, which is made when it is missing."""
    line = as_plain(recorded.trial) | {"revision": recorded.revision, "seconds": round(recorded.seconds, 1)}
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def read(file: Path) -> dict[str, Recorded]:
    """Read what was recorded, by the bug's name, the latest line of each; nothing where the file is missing.

    Bugs that are not injected any more, or otherwise than when they were recorded, are left out.

    Raises:
        RecordingError: a line is no record.
    """
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    declared = {(bug.name, bug.pipeline, bug.recipe): bug for bug in BUGS}
    found: dict[str, Recorded] = {}
    for number, line in enumerate(lines, start=1):
        try:
            plain = json.loads(line)
            bug = declared.get((plain["bug"], plain["pipeline"], plain["recipe"]))
            if bug is not None:
                trial = Trial(bug=bug, answers=_answers(plain["answers"]), image=_image(plain))
                found[bug.name] = Recorded(trial=trial, revision=plain["revision"], seconds=plain["seconds"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = (
                f"{file}, line {number}: it must be what --results wrote, got: {line[:60]!r} "
                f"({type(error).__name__}: {error}); take the line out, or name another file"
            )
            raise RecordingError(msg) from error
    return found


def _answers(plain: Mapping[str, Any]) -> tuple[Answer, ...]:
    return tuple(
        Answer(
            guard=Guard(guard),
            color=Color(answer["color"]),
            said=answer["said"],
            figures={name: float("nan") if value is None else value for name, value in answer["figures"].items()},
        )
        for guard, answer in plain.items()
    )


def _image(plain: Mapping[str, Any]) -> ImageSeen:
    return ImageSeen(is_changed=plain["changes_image"], usual_check=SliceCheck(**plain["usual_check"]))


def measured_lines(recorded: Sequence[Recorded]) -> list[str]:
    """Say at which revisions, and how long it took."""
    revisions: dict[str, int] = {}
    for one in recorded:
        revisions[one.revision] = revisions.get(one.revision, 0) + 1
    at = ", ".join(f"{number} at `{revision}`" for revision, number in revisions.items())
    minutes = sum(one.seconds for one in recorded) / 60
    return [f"- measured: {at}; {minutes:.0f} minutes in all"]
