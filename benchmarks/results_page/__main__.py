"""Write the page of results from the JSON files of `python -m benchmarks.on_gpu`.

python -m benchmarks.results_page --out docs/results.md

By default it reads the files in benchmarks/results_page/measured/, each named after its command; options replace
single files. A section without a file has the command that measures it. The exit code is 0 if the page was written, and
2 if a file cannot be shown.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.results_page.counted import read_counted
from benchmarks.results_page.images import draw_images
from benchmarks.results_page.measured import Measured, read_measured
from benchmarks.results_page.null_gpu_ladders import read_counted_ladders
from benchmarks.results_page.page import Figures, page
from benchmarks.results_page.published_table import published_table
from benchmarks.results_page.published_times import published_times
from benchmarks.results_page.reading import FiguresError
from pytest_diffopt.errors import DiffoptError

_CANNOT_WRITE = 2
_COMMANDS = ("ladder", "table", "overhead", "suites", "paired", "false-alarms")
_MEASURED_FOLDER = Path(__file__).with_name("measured")
_DOCS_PAGE = Path(__file__).parents[2] / "docs" / "results.md"


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
    parser.add_argument("--ladder", type=Path, metavar="FILE", help="results of `ladder`")
    parser.add_argument("--table", type=Path, metavar="FILE", help="results of `table`")
    parser.add_argument("--overhead", type=Path, metavar="FILE", help="results of `overhead`")
    parser.add_argument("--suites", type=Path, metavar="FILE", help="results of `suites`")
    parser.add_argument("--paired", type=Path, metavar="FILE", help="results of `paired`")
    parser.add_argument("--false-alarms", type=Path, metavar="FILE", help="results of `false-alarms`")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PAGE", help="the page; its images are written next to it"
    )
    parser.add_argument(
        "--rehearsal", action="store_true", help="the files are from rehearsals, and the page is marked as one"
    )
    return parser.parse_args(arguments)


def _write(options: argparse.Namespace) -> None:
    if options.rehearsal and options.out.resolve() == _DOCS_PAGE:
        msg = f"a rehearsal has no results: --out must not be docs/{_DOCS_PAGE.name}"
        raise FiguresError(msg)
    named = {command: file for command in _COMMANDS if (file := getattr(options, command.replace("-", "_")))}
    default = {} if options.rehearsal else measured_files()
    figures = read_figures(default | named, is_rehearsal=options.rehearsal)
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        written = draw_images(figures, options.out)
        options.out.write_text(page(figures, options.out.stem), encoding="utf-8")
    except OSError as error:
        msg = f"{options.out} cannot be written: {error.strerror}"
        raise FiguresError(msg) from error
    for file in (options.out, *written):
        print(file)


def measured_files() -> dict[str, Path]:
    """Return the files of the page in the docs, by command."""
    files = {command: _MEASURED_FOLDER / f"{command}.json" for command in _COMMANDS}
    return {command: file for command, file in files.items() if file.exists()}


def read_figures(files: Mapping[str, Path], *, is_rehearsal: bool = False) -> Figures:
    """Read all figures of the page.

    Args:
        files: results files, by command.
        is_rehearsal: whether the page is of a rehearsal.

    Raises:
        FiguresError: a file cannot be read, or cannot be shown on this page.
    """
    measured = {command: read_measured(file, command) for command, file in files.items()}
    for one in measured.values():
        _check_kind(one, is_rehearsal=is_rehearsal)
        _check_machine(one, next(iter(measured.values())))
    return Figures(
        published=published_times(),
        published_table=published_table(),
        counted=read_counted(),
        on_null_gpu=None if is_rehearsal else read_counted_ladders(),
        measured=measured,
        is_rehearsal=is_rehearsal,
    )


def _check_kind(one: Measured, *, is_rehearsal: bool) -> None:
    """Refuse a rehearsal on a page of measurements, and a measurement on a page of a rehearsal."""
    if one.is_rehearsal and not is_rehearsal:
        msg = f"{one.path} is a rehearsal, not a measurement; --rehearsal writes a page that is marked as one"
        raise FiguresError(msg)
    if is_rehearsal and not one.is_rehearsal:
        msg = f"{one.path} is a measurement, and cannot be shown on a page of a rehearsal (--rehearsal)"
        raise FiguresError(msg)


def _check_machine(one: Measured, first: Measured) -> None:
    """Refuse figures of two machines on one page, because its ratios would compare them."""
    if one.machine != first.machine:
        msg = (
            f"{one.path} and {first.path} must be from one machine with the same versions, got: "
            f"{one.machine} and {first.machine}"
        )
        raise FiguresError(msg)


if __name__ == "__main__":
    sys.exit(main())
