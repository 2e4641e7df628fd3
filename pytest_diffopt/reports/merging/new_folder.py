"""Create a folder atomically: with its whole content, or not at all."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pytest_diffopt.reports.json_report import ReportError


@contextmanager
def new_folder(path: Path, *, sources: Sequence[Path]) -> Iterator[Path]:
    """Yield a temporary folder next to `path`, and rename it to `path` if the block ends without an error.

    Args:
        path: the folder that `--into` names.
        sources: the folders that are merged.

    Raises:
        ReportError: `path` is one of the sources, is not empty, or cannot be written.
    """
    _check(path, sources)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        written = temporary / path.name
        written.mkdir()  # with the default permissions; mkdtemp's are stricter
        yield written
        written.rename(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary)


def _check(path: Path, sources: Sequence[Path]) -> None:
    if path.resolve() in [source.resolve() for source in sources]:
        msg = f"--into must not name a folder that is merged, got: {path}"
        raise ReportError(msg)
    try:
        content = sorted(one.name for one in path.iterdir()) if path.exists() else []
    except OSError as error:
        raise _unwritable(path, error) from error
    if content:
        msg = f"--into must name a new or an empty folder, got: {path} (it contains {content[0]!r})"
        raise ReportError(msg)


def _unwritable(path: Path, error: OSError) -> ReportError:
    return ReportError(f"--into must name a folder that can be written, got: {path} ({error.strerror})")
