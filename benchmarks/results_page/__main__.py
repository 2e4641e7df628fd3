"""Write the page of results from the files that `python -m benchmarks.on_gpu` wrote on a GPU.

python -m benchmarks.results_page --out docs/results.md

It shows the files that are kept in benchmarks/results_page/measured/, each under its command's name, or others that
are named. A section without a file says that it was not measured, and how to measure it. The exit code is 0 when the
page was written, and 2 when a file cannot be shown.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.results_page.counted import read_counted
from benchmarks.results_page.images import draw_images
from benchmarks.results_page.measured import Measured, read_measured
from benchmarks.results_page.page import Figures, page
from benchmarks.results_page.published_table import published_table
from benchmarks.results_page.published_times import published_times
from benchmarks.results_page.reading import FiguresError
from pytest_diffopt.errors import DiffoptError

_CANNOT_WRITE = 2
_SHOWN = ("ladder", "table", "overhead", "suites", "paired", "false-alarms")
_KEPT = Path(__file__).with_name("measured")
_REAL_PAGE = Path(__file__).parents[2] / "docs" / "results.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page."""
    options = _parsed(arguments)
    try:
        _write(options)
    except DiffoptError as error:
        print(f"results_page: {error}", file=sys.stderr)
        return _CANNOT_WRITE
    return 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.results_page",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--ladder", type=Path, metavar="FILE", help="of SDXL's ladders")
    parser.add_argument("--table", type=Path, metavar="FILE", help="of the table of steps a second")
    parser.add_argument("--overhead", type=Path, metavar="FILE", help="of what watching costs")
    parser.add_argument("--suites", type=Path, metavar="FILE", help="of the suites")
    parser.add_argument("--paired", type=Path, metavar="FILE", help="of the latency gates against injected slowdowns")
    parser.add_argument("--false-alarms", type=Path, metavar="FILE", help="of the paired gate's mistakes")
    parser.add_argument("--out", type=Path, required=True, metavar="PAGE", help="the page; its images go beside it")
    parser.add_argument("--rehearsal", action="store_true", help="the files are those of rehearsals, and the page too")
    return parser.parse_args(arguments)


def _write(options: argparse.Namespace) -> None:
    if options.rehearsal and options.out.resolve() == _REAL_PAGE:
        msg = f"a rehearsal cannot be shown as results: --out must be another file than docs/{_REAL_PAGE.name}"
        raise FiguresError(msg)
    named = {command: file for command in _SHOWN if (file := getattr(options, command.replace("-", "_")))}
    kept = {} if options.rehearsal else kept_files()
    figures = read_figures(kept | named, is_rehearsal=options.rehearsal)
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        written = draw_images(figures, options.out)
        options.out.write_text(page(figures, options.out.stem), encoding="utf-8")
    except OSError as error:
        msg = f"{options.out} cannot be written: {error.strerror}"
        raise FiguresError(msg) from error
    for file in (options.out, *written):
        print(file)


def kept_files() -> dict[str, Path]:
    """Return the files that the page in the documentation shows, by their commands."""
    files = {command: _KEPT / f"{command}.json" for command in _SHOWN}
    return {command: file for command, file in files.items() if file.exists()}


def read_figures(files: Mapping[str, Path], *, is_rehearsal: bool = False) -> Figures:
    """Read all that stands on the page.

    Args:
        files: what was measured, by the command that did.
        is_rehearsal: whether the page is one of a rehearsal.

    Raises:
        FiguresError: a file cannot be shown on this page.
    """
    measured = {command: read_measured(file, command) for command, file in files.items()}
    for one in measured.values():
        _check_kind(one, is_rehearsal=is_rehearsal)
        _check_machine(one, next(iter(measured.values())))
    return Figures(
        published=published_times(),
        published_table=published_table(),
        counted=read_counted(),
        measured=measured,
        is_rehearsal=is_rehearsal,
    )


def _check_kind(one: Measured, *, is_rehearsal: bool) -> None:
    """Refuse to let a rehearsal pass for a measurement, and the other way round."""
    if one.is_rehearsal and not is_rehearsal:
        msg = f"{one.path} is a rehearsal, in which nothing is measured; with --rehearsal it makes a page that says so"
        raise FiguresError(msg)
    if is_rehearsal and not one.is_rehearsal:
        msg = f"{one.path} was measured on a GPU: a page of a rehearsal (--rehearsal) must not show it"
        raise FiguresError(msg)


def _check_machine(one: Measured, first: Measured) -> None:
    """Refuse figures of two machines on one page: its ratios would compare them."""
    if one.machine != first.machine:
        msg = (
            f"{one.path} and {first.path} must be of one machine with the same versions, got: "
            f"{one.machine} and {first.machine}"
        )
        raise FiguresError(msg)


if __name__ == "__main__":
    sys.exit(main())
