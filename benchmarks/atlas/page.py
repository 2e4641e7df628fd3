"""Write an atlas as a page without a network: a table to sort and search, and the lines of each pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from benchmarks.atlas.difference import Change
from benchmarks.atlas.entries import Atlas, Entry, Place
from benchmarks.atlas.headline import measured
from benchmarks.atlas.labels import anchor, labels
from benchmarks.diffusers_tests.results import Outcome

_TEMPLATES = Path(__file__).with_name("templates")
MOST_LINES = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A cell of the table.

    Attributes:
        text: shown.
        order: number by which the column is sorted; what is unknown comes last.
        badge: `good`, `bad`, `unknown`, or empty for a plain figure.
        note: more, shown on hover.
    """

    text: str
    order: float
    badge: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedLine:
    """A line that synchronizes in later steps of several pipelines.

    Attributes:
        where: the line.
        operation: the call that synchronizes.
        pipelines: the labels of the pipelines.
    """

    where: Place
    operation: str
    pipelines: tuple[str, ...]


_UNKNOWN_ORDER = 1e18
COLUMNS = (
    ("first step", "syncs of the CPU with the GPU in the first step"),
    ("later steps", "syncs in each later step"),
    ("one graph", "whether the denoiser compiles to one graph"),
    ("regional", "whether its repeated blocks compile with fullgraph=True"),
    ("recompiles", "recompiles for a call of the same shape: another prompt, guidance scale or number of steps"),
    ("memory", "bytes that stay after a call with another prompt"),
    ("operations", "operations of a step, each launching one kernel or more"),
    ("over the bus", "bytes copied to the GPU and back in a later step"),
)


def cells(entry: Entry) -> tuple[Cell, ...]:
    """Return the cells of a pipeline, in the order of `COLUMNS`."""
    return (*_loop_cells(entry), *_compile_cells(entry), _memory_cell(entry), *_work_cells(entry))


def _unknown(entry: Entry, attribute: str) -> Cell:
    return Cell(text="?", order=_UNKNOWN_ORDER, badge="unknown", note=entry.unknown.get(attribute, "not measured"))


def _loop_cells(entry: Entry) -> tuple[Cell, ...]:
    if entry.loop is None:
        return (_unknown(entry, "loop"),) * 2
    first, later = entry.loop.syncs_in_first_step, entry.loop.syncs_per_later_step
    return _count(first), _count(later) if entry.loop.num_steps > 1 else Cell(
        text="?", order=_UNKNOWN_ORDER, badge="unknown", note="the loop has one step"
    )


def _count(number: int) -> Cell:
    return Cell(text=str(number), order=number, badge="bad" if number else "good")


def _compile_cells(entry: Entry) -> tuple[Cell, ...]:
    if not entry.denoisers:
        return (_unknown(entry, "denoisers"),) * 3
    breaks = sum(len(one.breaks) for one in entry.denoisers)
    is_whole = all(one.is_whole for one in entry.denoisers)
    whole = Cell(text="yes" if is_whole else _breaks(breaks), order=breaks, badge="good" if is_whole else "bad")
    again = sum(not each.changes_shape for one in entry.denoisers for each in one.recompiles)
    return whole, _regional_cell(entry), _count(again)


def _breaks(number: int) -> str:
    return f"{number} break" if number == 1 else f"{number} breaks"


def _regional_cell(entry: Entry) -> Cell:
    known = [one for one in entry.denoisers or () if one.is_regional is not None]
    if not known:
        return Cell(text="none", order=1, badge="unknown", note="the class names no repeated blocks")
    if failed := [one for one in known if not one.is_regional]:
        return Cell(text="no", order=2, badge="bad", note=failed[0].regional_reason)
    return Cell(text="yes", order=0, badge="good")


def _memory_cell(entry: Entry) -> Cell:
    if entry.memory is None:
        return _unknown(entry, "memory")
    growth = entry.memory.growth_bytes
    return Cell(text=_bytes(growth), order=growth, badge="bad" if growth else "good")


def _work_cells(entry: Entry) -> tuple[Cell, ...]:
    if entry.loop is None:
        return (_unknown(entry, "loop"),) * 2
    operations = max(entry.loop.operations, default=0)
    copied = max(map(sum, zip(entry.loop.bytes_to_device[1:], entry.loop.bytes_to_host[1:], strict=True)), default=0)
    return Cell(text=f"{operations:,}", order=operations), Cell(text=_bytes(copied), order=copied)


def _bytes(number: int) -> str:
    for size, unit in ((2**20, "MiB"), (2**10, "KiB")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"


def shared_lines(entries: Sequence[Entry]) -> list[SharedLine]:
    """Return the lines that synchronize in later steps, those of most pipelines first."""
    names = labels(entries)
    found: dict[tuple[Place, str], set[str]] = {}
    for entry in entries:
        for line in entry.loop.syncs if entry.loop else ():
            if line.in_later_steps:
                found.setdefault((line.where, line.operation), set()).add(names[entry.name])
    lines = [
        SharedLine(where=where, operation=operation, pipelines=tuple(sorted(pipelines)))
        for (where, operation), pipelines in found.items()
    ]
    return sorted(lines, key=lambda one: (-len(one.pipelines), one.where))


def page(atlas: Atlas, changes: Sequence[Change] = (), *, before: str = "") -> str:
    """Return the page.

    Args:
        atlas: the atlas.
        changes: what changed since the release before.
        before: that release; empty if none was compared.
    """
    named = labels(measured(atlas))
    entries = sorted(measured(atlas), key=lambda entry: named[entry.name].lower())
    return template("atlas.html").render(
        atlas=atlas,
        columns=COLUMNS,
        measured=entries,
        others=not_measured(atlas),
        labels=named,
        anchor=anchor,
        cells=cells,
        lines=shared_lines(entries)[:MOST_LINES],
        changes=changes,
        before=before,
        bytes=_bytes,
        css=(_TEMPLATES / "atlas.css").read_text(),
        js=(_TEMPLATES / "atlas.js").read_text(),
    )


def not_measured(atlas: Atlas) -> list[Entry]:
    """Return the entries of the pipelines that did not run."""
    return [entry for entry in atlas.entries if entry.outcome is not Outcome.RAN]


def template(name: str) -> jinja2.Template:
    """Return a template; HTML is escaped, and a variable that is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
