"""The page: what was published, beside it what a GPU gave, and how to repeat each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.on_gpu.__main__ import report
from benchmarks.on_gpu.commands import COMMANDS
from benchmarks.on_gpu.results import REHEARSAL
from benchmarks.results_page.counted import CountedLevels
from benchmarks.results_page.ladder_section import Climb, article_lines, today_lines
from benchmarks.results_page.markdown import commands, output, table, times
from benchmarks.results_page.measured import Machine, Measured
from benchmarks.results_page.published_table import Cell, Place
from benchmarks.results_page.published_times import Published, PublishedTimes
from benchmarks.results_page.table_section import gain_lines, speed_lines

#: The images that stand beside the page, by the end of their names.
LADDER_IMAGE, GAINS_IMAGE = "ladder", "gains"
_BUDGETS_SECONDS = {"ladder": 540, "table": 540, "overhead": 300, "suites": 240, "paired": 420, "false-alarms": 540}
_TITLES = {
    "ladder": "SDXL's ladder",
    "table": "Steps a second",
    "overhead": "What watching costs",
    "suites": "The suites on the GPU",
    "paired": "The latency gates against injected slowdowns",
    "false-alarms": "How often the paired gate errs",
}
_WHERE_FILES_LIE = {
    False: "Keep the files in `benchmarks/results_page/measured/`, under the names above; then, on any machine:",
    True: "Then, on any machine:",
}
_OWN = {
    "overhead": "What each guard's watching adds to a full-size call of SDXL; at most 0.5 % is promised.",
    "suites": "The regression suite at tiny scale, a file at a time: its verdicts, and what is red.",
    "paired": "Each gate in its own repository: the same code must be green, an injected slowdown red with its cause.",
    "false-alarms": "Full-size SDXL by pairs of processes: of the same code, and with a wait injected in each step.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """All that stands on the page.

    Attributes:
        published: the times of others.
        published_table: the speeds of others.
        counted: what the ladders' levels do.
        measured: what was measured, by the command that did.
        is_rehearsal: nothing of it is a measurement.
    """

    published: Published
    published_table: Mapping[Place, Cell]
    counted: CountedLevels
    measured: Mapping[str, Measured] = field(default_factory=dict)
    is_rehearsal: bool = False

    @property
    def machine(self) -> Machine | None:
        """Where all of it was measured; None where nothing was."""
        return next((one.machine for one in self.measured.values()), None)

    @property
    def climb(self) -> Climb | None:
        """The ladders here; None where they were not measured."""
        ladder = self.measured.get("ladder")
        return Climb.of(ladder, self.published.ladder, self.counted) if ladder else None


def page(figures: Figures, name: str) -> str:
    """Return the page.

    Args:
        figures: all that stands on it.
        name: its file's name without the ending: its images are named after it.
    """
    return "\n".join([*_lines(figures, name), ""])


def _lines(figures: Figures, name: str) -> Iterator[str]:
    yield "# Results on a GPU"
    yield ""
    yield "<!-- Written by python -m benchmarks.results_page: change the figures or the program, and write it anew. -->"
    yield ""
    yield (
        "What [the commands for a lent GPU](on-gpu.md) measured, beside the figures of others. Theirs come from other "
        "GPUs and from software of 2023, so what is compared are ratios; no guard and no test goes by them."
    )
    yield ""
    yield _state(figures)
    yield from _ladder(figures, name)
    yield from _table(figures, name)
    for command in _OWN:
        yield from _own_table(figures, command)
    yield from _nobodys(figures)
    yield from _repeating(figures)


def _state(figures: Figures) -> str:
    """Say what the page rests on."""
    if figures.is_rehearsal:
        return f"**{REHEARSAL[0].upper()}{REHEARSAL[1:]}.**"
    if figures.machine is None:
        return (
            "**Nothing was measured on a GPU yet.** Every figure below is a published one, or was counted on the "
            "simulated GPU."
        )
    lacking = [_TITLES[command] for command in _TITLES if command not in figures.measured]
    left = f" Not measured yet: {', '.join(lacking)}." if lacking else ""
    return f"Measured on {figures.machine}.{left}"


def _titled(figures: Figures, title: str) -> Iterator[str]:
    """Yield a title; in a rehearsal every section says that it is one."""
    yield from ("", title, "")
    if figures.is_rehearsal:
        yield from ("**A rehearsal on a CPU with the tiny pipelines: nothing in this section is a measurement.**", "")


def _heading(figures: Figures, command: str) -> Iterator[str]:
    """Yield the title of a section, and whether anything of it was measured."""
    yield from _titled(figures, f"## {_TITLES[command]}")
    measured = figures.measured.get(command)
    if measured is None:
        yield "Not measured on a GPU yet. This does it, on the GPU:"
    else:
        yield from _how_it_was_measured(measured, command)
    yield ""
    yield from commands(_command(command, is_rehearsal=figures.is_rehearsal), why_not_run="needs a GPU")
    yield ""


def _how_it_was_measured(measured: Measured, command: str) -> Iterator[str]:
    """Say where the weights came from and what is left to do; the command to repeat it follows."""
    yield from (f"Weights: {one}." for one in measured.weights)
    left = [case.name for case in COMMANDS[command].cases(measured.setting) if case.name not in measured.cases]
    if left:
        yield f"{len(left)} of {len(left) + len(measured.cases)} cases are left: {', '.join(left)}."
    yield "This repeats it, or goes on where it stopped:"


def _command(command: str, *, is_rehearsal: bool) -> str:
    rehearse = " --rehearse" if is_rehearsal else ""
    budget = _BUDGETS_SECONDS[command]
    return f"python -m benchmarks.on_gpu {command} --json {command}.json --budget-seconds {budget}{rehearse}"


def _ladder(figures: Figures, name: str) -> Iterator[str]:
    yield from _heading(figures, "ladder")
    climb, article = figures.climb, figures.published.ladder
    yield from article_lines(article, figures.counted, climb)
    yield ""
    yield _image(name, LADDER_IMAGE, "How many times as fast as the first level each level of the ladder is")
    yield from _titled(figures, "### The levels of today")
    if climb is None:
        yield "Not measured on a GPU yet; the same command does it."
    else:
        yield from today_lines(article, climb)
    yield from _reasons(figures, "ladder")


def _table(figures: Figures, name: str) -> Iterator[str]:
    yield from _heading(figures, "table")
    here = figures.measured.get("table")
    yield from speed_lines(figures.published_table, here)
    yield from _reasons(figures, "table")
    yield from _titled(figures, "### What compiling gains on each GPU")
    yield "Compiled ÷ not compiled, with the nightly torch where no version is named; what has no ratio says why."
    yield ""
    yield from gain_lines(figures.published_table, here)
    yield ""
    yield _image(name, GAINS_IMAGE, "What compiling gains, by pipeline, batch and GPU")


def _reasons(figures: Figures, command: str) -> Iterator[str]:
    """Say why cases have no figures."""
    measured = figures.measured.get(command)
    if measured and measured.reasons:
        yield from ("", *(f"- {reason}" for reason in measured.reasons))


def _image(name: str, which: str, what: str) -> str:
    return f"![{what}]({name}-{which}.svg)"


def _own_table(figures: Figures, command: str) -> Iterator[str]:
    """Yield what nobody has published, as the command prints it."""
    yield from _heading(figures, command)
    yield f"{_OWN[command]} No published figures stand beside it."
    if measured := figures.measured.get(command):
        environment = {"device": measured.machine.device, "versions": measured.machine.versions}
        yield ""
        yield from output(report(COMMANDS[command], measured.setting, environment, measured.cases))


def _nobodys(figures: Figures) -> Iterator[str]:
    """Yield what was published and no command of ours measures."""
    yield from _titled(figures, "## Published, and measured by no command yet")
    sources = (figures.published.distilled, figures.published.precision)
    yield "\n\n".join("\n".join(_times(source)) for source in sources)


def _times(source: PublishedTimes) -> Iterator[str]:
    yield f"[{source.title}]({source.link}): {source.setting}."
    yield ""
    gains = source.gains()
    rows: Sequence[Sequence[str]] = [[row.adds, f"{row.seconds:.2f} s", times(gains[row.name])] for row in source.rows]
    yield from table(("", "a call", "times the first"), rows)


def _repeating(figures: Figures) -> Iterator[str]:
    """Say how the page itself is made."""
    yield from _titled(figures, "## How to repeat this page")
    yield (
        "The commands above go on from their files, so a GPU may be lent many times; [on a lent GPU](on-gpu.md) says "
        "how to read them. " + _WHERE_FILES_LIE[figures.is_rehearsal]
    )
    yield ""
    yield from commands(_own_command(is_rehearsal=figures.is_rehearsal), why_not_run="writes the page itself")
    yield ""
    yield "A section without a file says that it was not measured. What the ladders' levels do is counted by:"
    yield ""
    yield from commands(
        "python -m benchmarks.results_page.count_levels --json benchmarks/results_page/counted_levels.json",
        why_not_run="takes minutes",
    )


def _own_command(*, is_rehearsal: bool) -> str:
    if not is_rehearsal:
        return "python -m benchmarks.results_page --out docs/results.md"
    files = " ".join(f"--{command} {command}.json" for command in _TITLES)
    return f"python -m benchmarks.results_page {files} --out rehearsal.md --rehearsal"
