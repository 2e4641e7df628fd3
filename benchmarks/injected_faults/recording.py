"""Records of tried faults, one line of JSON each, so that an interrupted run can continue."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.injected_faults.catalogue import FAULTS
from benchmarks.injected_faults.guarding import CheckOutcome, CheckResult, Guard
from benchmarks.injected_faults.results import as_plain
from benchmarks.injected_faults.slices import SliceCheck
from benchmarks.injected_faults.trials import ImageEffect, Trial
from pytest_diffopt.baselines.git import git_output
from pytest_diffopt.errors import DiffoptError

_ROOT = Path(__file__).parents[2]


class RecordingError(DiffoptError):
    """A file of results cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A trial with its revision and duration.

    Attributes:
        trial: the trial.
        revision: the measured commit, followed by `+` if tracked files differ from it.
        seconds: wall-clock time; includes the clean pipeline's checks for the first fault of a pipeline.
    """

    trial: Trial
    revision: str
    seconds: float


def revision_now() -> str:
    """Return the commit that is measured.

    Raises:
        GitError: git cannot determine it.
    """
    changed = "+" if git_output(_ROOT, "status", "--porcelain", "--untracked-files=no") else ""
    return git_output(_ROOT, "rev-parse", "--short=10", "HEAD") + changed


def append(file: Path, recorded: Recorded) -> None:
    """Append a line to a file, which is created if it does not exist."""
    line = as_plain(recorded.trial) | {"revision": recorded.revision, "seconds": round(recorded.seconds, 1)}
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def read(file: Path) -> dict[str, Recorded]:
    """Return the latest record of each fault, by name; empty if the file does not exist.

    Records of removed faults, and of faults whose pipeline or recipe has changed, are left out.

    Raises:
        RecordingError: a line is not a record.
    """
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    declared = {(fault.name, fault.pipeline, fault.recipe): fault for fault in FAULTS}
    found: dict[str, Recorded] = {}
    for number, line in enumerate(lines, start=1):
        try:
            plain = json.loads(line)
            fault = declared.get((plain["fault"], plain["pipeline"], plain["recipe"]))
            if fault is not None:
                trial = Trial(fault=fault, checks=_checks(plain["checks"]), image=_image(plain))
                found[fault.name] = Recorded(trial=trial, revision=plain["revision"], seconds=plain["seconds"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = (
                f"{file}, line {number}: must be written by --results, got: {line[:60]!r} "
                f"({type(error).__name__}: {error}); remove the line, or give another file"
            )
            raise RecordingError(msg) from error
    return found


def _checks(plain: Mapping[str, Any]) -> tuple[CheckResult, ...]:
    return tuple(
        CheckResult(
            guard=Guard(guard),
            outcome=CheckOutcome(check["outcome"]),
            headline=check["headline"],
            figures={name: float("nan") if value is None else value for name, value in check["figures"].items()},
        )
        for guard, check in plain.items()
    )


def _image(plain: Mapping[str, Any]) -> ImageEffect:
    return ImageEffect(is_changed=plain["changes_image"], usual_check=SliceCheck(**plain["usual_check"]))


def measured_lines(recorded: Sequence[Recorded]) -> list[str]:
    """Return the line with the measured revisions and the total duration."""
    revisions: dict[str, int] = {}
    for one in recorded:
        revisions[one.revision] = revisions.get(one.revision, 0) + 1
    at = ", ".join(f"{number} at `{revision}`" for revision, number in revisions.items())
    minutes = sum(one.seconds for one in recorded) / 60
    return [f"- measured: {at}; {minutes:.0f} minutes in total"]
