"""The comment on a pull request: what it changed in the pipelines that it touches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.atlas.difference import Change, Direction, entry_differences
from benchmarks.atlas.entries import Entry
from benchmarks.atlas.touched import TouchedFile
from benchmarks.diffusers_tests.results import Outcome

_SIGNS = {Direction.WORSE: "🔴", Direction.BETTER: "🟢"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Both sides of a change.

    Attributes:
        revisions: the merge base and the head.
        touched: the test files that the change touches.
        before: the measured pipelines at the merge base.
        after: those at the head.
    """

    revisions: tuple[str, str]
    touched: tuple[TouchedFile, ...]
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
        known = {entry.name for entry in self.before} | {_file_of(entry) for entry in self.before}
        measured_groups = {entry.group for entry in self.before}
        ran = _ran(self.after).values()
        return [one for one in ran if one.name not in known and one.group not in measured_groups]

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
        """The touched test files without a pipeline that was measured at the head."""
        seen = {_file_of(entry) for entry in self.after}
        return [one.name for one in self.touched if one.name not in seen]


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
        yield f"### No figure changed in {_counted(len(compared.measured), 'pipeline')}"
        return
    yield f"### {_counted(worse, 'figure')} worse, {better} better in {_counted(len(compared.measured), 'pipeline')}"


def _changed(compared: Compared) -> Iterator[str]:
    for change in compared.changes:
        yield f"- {_SIGNS[change.direction]} **{change.pipeline}**: {change.text}"
    for entry in compared.lost:
        yield f"- 🔴 **{entry.name}** ran before, and is now {entry.outcome.value}: {entry.reason}"
    for entry in compared.added:
        yield f"- **{entry.pipeline}** is new: {_figures(entry)}"


def _figures(entry: Entry) -> str:
    figures = []
    if entry.loop is not None:
        places = ", ".join(dict.fromkeys(str(line.where) for line in entry.loop.syncs if line.in_later_steps))
        syncs = _counted(entry.loop.syncs_per_later_step, "sync")
        figures.append(f"{syncs} per step{f' ({places})' if places else ''}")
    for denoiser in entry.denoisers or ():
        graphs = "compiles to one graph" if denoiser.is_whole else _counted(len(denoiser.breaks), "graph break")
        figures.append(f"{denoiser.component}: {graphs}, {_counted(len(denoiser.recompiles), 'recompile')}")
    return "; ".join(figures) or "nothing could be measured"


def _method(compared: Compared) -> Iterator[str]:
    base, head = (revision[:10] for revision in compared.revisions)
    if not compared.touched:
        return
    names = sorted({entry.pipeline for entry in compared.measured})
    yield f"<sub>{base} to {head}, measured without a GPU: {', '.join(names) or 'no pipeline'}.</sub>"
    for entry in compared.unmeasured:
        yield f"<sub>{entry.name} does not run here: {entry.reason}.</sub>"
    if compared.left:
        yield f"<sub>Touched but not measured in the time limit: {_shortened(compared.left)}.</sub>"


def _shortened(names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _ran(entries: Sequence[Entry]) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries if entry.outcome is Outcome.RAN}


def _file_of(entry: Entry) -> str:
    return entry.name.partition("::")[0]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
