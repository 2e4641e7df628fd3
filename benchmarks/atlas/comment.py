"""The comment on a pull request: what it changed in the pipelines that it touches.

python -m benchmarks.atlas.comment compared.json --repository owner/name --pull-request 12

A job with write permission runs this; it reads what `benchmarks.atlas.pull_request --json` wrote in a job that runs the
code of the pull request. GitHub shows each text of that file literally.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.atlas.difference import Change, Direction, entry_differences
from benchmarks.atlas.entries import Entry, decoded
from benchmarks.diffusers_tests.results import Outcome
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.reports.comment.posting import NotAllowedError, Place, post
from pytest_diffopt.reports.markdown import text

_ACTIONS_LOGIN = "github-actions[bot]"
_MOST_UNMEASURED = 6
_SIGNS = {Direction.WORSE: "🔴", Direction.BETTER: "🟢"}


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides of a change.

    Attributes:
        revisions: the merge base and the head.
        touched: the test files that the change touches, as `folder/file`, the nearest first.
        new: those of them that the merge base lacks.
        before: the measured pipelines at the merge base.
        after: those at the head.
    """

    revisions: tuple[str, str]
    touched: tuple[str, ...]
    new: tuple[str, ...] = ()
    before: tuple[Entry, ...]
    after: tuple[Entry, ...]

    @property
    def changes(self) -> list[Change]:
        """The figures that changed, worse ones first."""
        return entry_differences(self.before, self.after)

    @property
    def measured(self) -> list[Entry]:
        """The pipelines at the head that ran on both sides."""
        before = _ran(self.before)
        return [entry for name, entry in _ran(self.after).items() if name in before]

    @property
    def added(self) -> list[Entry]:
        """The pipelines that run at the head, and whose tests the merge base does not have."""
        return [entry for entry in _ran(self.after).values() if _file_of(entry) in self.new]

    @property
    def lost(self) -> list[Entry]:
        """The pipelines that ran at the merge base, and do not run at the head."""
        before = _ran(self.before)
        return [entry for entry in self.after if entry.outcome is not Outcome.RAN and entry.name in before]

    @property
    def unmeasured(self) -> list[Entry]:
        """The pipelines that run on neither side."""
        lost = {entry.name for entry in self.lost}
        return [entry for entry in self.after if entry.outcome is not Outcome.RAN and entry.name not in lost]

    @property
    def left(self) -> list[str]:
        """The touched test files without a pipeline that was measured on both sides."""
        before, after = ({_file_of(entry) for entry in its} for its in (self.before, self.after))
        return [name for name in self.touched if name not in after or name not in before | {*self.new}]


def comment(compared: Compared) -> str:
    """Return the comment in Markdown."""
    sections = ("\n".join(section(compared)) for section in (_heading, _changed, _method))
    return "\n\n".join(filter(None, sections))


def _heading(compared: Compared) -> Iterator[str]:
    if not compared.touched:
        yield "### No pipeline's tests import what this change touches"
        return
    worse = sum(one.direction is Direction.WORSE for one in compared.changes)
    better = len(compared.changes) - worse
    if not (worse or better or compared.lost or compared.added):
        yield f"### No figure changed in {counted(len(compared.measured), 'pipeline')}"
        return
    yield f"### {counted(worse, 'figure')} worse, {better} better in {counted(len(compared.measured), 'pipeline')}"


def _changed(compared: Compared) -> Iterator[str]:
    for change in compared.changes:
        yield f"- {_SIGNS[change.direction]} **{text(change.pipeline)}**: {text(change.text)}"
    for entry in compared.lost:
        yield f"- 🔴 **{text(entry.name)}** ran before, and is now {entry.outcome.value}: {text(entry.reason)}"
    for entry in compared.added:
        yield f"- **{text(entry.pipeline)}** is new: {text(_figures(entry))}"


def _figures(entry: Entry) -> str:
    figures = []
    if entry.loop is not None:
        places = ", ".join(dict.fromkeys(str(line.where) for line in entry.loop.syncs if line.in_later_steps))
        syncs = counted(entry.loop.syncs_per_later_step, "sync")
        figures.append(f"{syncs} per step{f' ({places})' if places else ''}")
    for denoiser in entry.denoisers or ():
        graphs = "compiles to one graph" if denoiser.is_whole else counted(len(denoiser.breaks), "graph break")
        figures.append(f"{denoiser.component}: {graphs}, {counted(len(denoiser.recompiles), 'recompile')}")
    return "; ".join(figures) or "nothing could be measured"


def _method(compared: Compared) -> Iterator[str]:
    base, head = (revision[:10] for revision in compared.revisions)
    if not compared.touched:
        return
    names = ", ".join(sorted({entry.pipeline for entry in compared.measured}))
    yield f"<sub>{text(base)} to {text(head)}, measured without a GPU: {text(names) or 'no pipeline'}.</sub>"
    for entry in compared.unmeasured[:_MOST_UNMEASURED]:
        yield f"<sub>{text(entry.name)} does not run here: {text(entry.reason)}.</sub>"
    if compared.left:
        yield f"<sub>Touched but not measured in the time limit: {text(_shortened(compared.left))}.</sub>"


def _shortened(names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _ran(entries: Sequence[Entry]) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries if entry.outcome is Outcome.RAN}


def _file_of(entry: Entry) -> str:
    return entry.name.partition("::")[0]


def main(arguments: Sequence[str] | None = None) -> None:
    """Post the comment; it replaces that of an earlier run.

    Raises:
        SystemExit: the file is not of this format, or GitHub refuses the comment.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.atlas.comment", description=__doc__)
    parser.add_argument("compared", type=Path)
    parser.add_argument("--repository", required=True, metavar="OWNER/NAME")
    parser.add_argument("--pull-request", required=True, type=int, metavar="N")
    options = parser.parse_args(arguments)
    compared = decoded(
        options.compared, Compared, expected="what `python -m benchmarks.atlas.pull_request --json` writes"
    )
    try:
        place = Place(
            repository=options.repository, pull_request=options.pull_request, key="atlas", author=_ACTIONS_LOGIN
        )
        print(f"{post(place, comment(compared))} the comment on {options.repository}#{options.pull_request}")
    except NotAllowedError as error:
        print(f"no comment: {error}")
    except DiffoptError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
