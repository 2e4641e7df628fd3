"""A folder that is there with everything in it, or not at all."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pytest_diffopt.reports.json_report import ReportError


@contextmanager
def new_folder(path: Path, *, others: Sequence[Path]) -> Iterator[Path]:
    """Give a folder beside `path` to write into, which takes its place when the block ends without an error.

    Args:
        path: what `--into` names.
        others: the folders that are read from.

    Raises:
        ReportError: it is one of the others, holds something, or cannot be written.
    """
    _check(path, others)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        written = beside / path.name
        written.mkdir()  # with the rights that any new folder has, which a temporary one has not
        yield written
        written.rename(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(beside)


def _check(path: Path, others: Sequence[Path]) -> None:
    if path.resolve() in [other.resolve() for other in others]:
        msg = f"--into must name another folder than those that are merged, got: {path}"
        raise ReportError(msg)
    try:
        holds = sorted(one.name for one in path.iterdir()) if path.exists() else []
    except OSError as error:
        raise _unwritable(path, error) from error
    if holds:
        msg = f"--into must name a new or an empty folder, got: {path} (it holds {holds[0]!r})"
        raise ReportError(msg)


def _unwritable(path: Path, error: OSError) -> ReportError:
    return ReportError(f"--into must name a folder that can be written, got: {path} ({error.strerror})")
