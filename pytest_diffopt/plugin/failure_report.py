"""What pytest shows of a failed guard: its explanation and the user's line, without the frames of this package."""

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pytest_diffopt
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.guards.failed_assertion import DiffoptAssertionError

_PACKAGE = Path(pytest_diffopt.__file__).parent
_INSTALLED = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def shorten_failure(report: pytest.TestReport, call: pytest.CallInfo[Any], item: pytest.Item) -> None:
    """Replace the traceback of an error of this package by its text and the line of the user's code that led to it.

    Exactly that error: where the user's code raises another one from it, pytest's own traceback is of use. With
    `--full-trace` every frame remains.
    """
    error = None if call.excinfo is None else call.excinfo.value
    if call.excinfo is None or report.longrepr is None or item.config.getoption("fulltrace", default=False):
        return
    if isinstance(error, (DiffoptError, DiffoptAssertionError)):
        report.longrepr = _shortened(call.excinfo, _text(error), item)
    elif isinstance(error, pytest.skip.Exception) and isinstance(report.longrepr, tuple):
        _locate_skip(report, item)


def _text(error: DiffoptError | DiffoptAssertionError) -> str:
    return str(error) if isinstance(error, DiffoptAssertionError) else f"diffopt: {error}"


def _shortened(excinfo: pytest.ExceptionInfo[BaseException], text: str, item: pytest.Item) -> Any:
    """Return pytest's representation of an error, with these lines; xdist sends it to its controller."""
    shown, place = excinfo.getrepr(style="value", chain=False), _line_of_user(excinfo, item.path)
    shown.reprtraceback.reprentries[-1].lines = [*text.splitlines(), *_place_lines(place, item.config)]
    crash = shown.reprcrash  # changed in place: a chain of errors, which xdist sends, has the same object
    if crash is not None:
        crash.message = text.partition("\n")[0]
    if crash is not None and place is not None:
        crash.path, crash.lineno = str(place.path), place.lineno + 1
    return shown


def _place_lines(place: Any, config: pytest.Config) -> Iterator[str]:
    if place is None:
        return
    folder, file = config.invocation_params.dir, Path(place.path)
    yield ""
    yield f"{file.relative_to(folder) if file.is_relative_to(folder) else file}:{place.lineno + 1}: in {place.name}"
    yield from _statement_lines(place)


def _statement_lines(place: Any) -> Iterator[str]:
    """Yield the user's statement; nothing for code without a file, or one that was shortened since."""
    source = place.frame.code.fullsource
    if source is not None and place.lineno < len(source.lines):
        yield f"    {str(source.getstatement(place.lineno)).strip()}"


def _line_of_user(excinfo: pytest.ExceptionInfo[BaseException], file: Path) -> Any:
    """Return the innermost entry of the traceback in the user's code; None if there is none."""
    visible = excinfo.traceback.filter(excinfo)  # without functions that set __tracebackhide__
    return next((entry for entry in reversed(visible) if _is_of_user(Path(entry.path), file)), None)


def _is_of_user(path: Path, test_file: Path) -> bool:
    return path == test_file or not any(path.is_relative_to(folder) for folder in (_PACKAGE, *_INSTALLED))


def _locate_skip(report: pytest.TestReport, item: pytest.Item) -> None:
    """Report a skip by this package at the line of the test."""
    assert isinstance(report.longrepr, tuple), "the caller has checked it"  # noqa: S101
    path, _line, reason = report.longrepr
    _file, line, _name = item.location
    if Path(path).is_relative_to(_PACKAGE):
        report.longrepr = (str(item.path), 0 if line is None else line + 1, reason)
