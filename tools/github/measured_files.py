"""The baselines in the artifacts of the runners; artifacts are untrusted, since runners run code of pull requests."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from tools.github.commands import RefusedError

_BASELINES = "baselines"
_ENDINGS = frozenset({".json", ".png", ".safetensors"})
_LARGEST_BYTES = 16 * 1024 * 1024
_MOST_FILES = 5000
# The characters that `pytest_diffopt.baselines.key.slug` keeps; a hidden file or folder is none of a baseline's.
_NAME = re.compile(r"[A-Za-z0-9_+=,()\[\]@~-][A-Za-z0-9_+=,.()\[\]@~-]{0,200}")


def measured_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the path of each measured baseline, and its path in the repository.

    Args:
        folder: the artifacts of all runners, one folder for each, with a subfolder `baselines/`.

    Raises:
        RefusedError: a file is not a baseline, or there are too many.
    """
    found = 0
    for artifact in sorted(folder.iterdir()):
        for source in _files(artifact / _BASELINES):
            found += 1
            _refuse_other_files(source)
            yield source, source.relative_to(artifact).as_posix()
    if found > _MOST_FILES:
        msg = f"the artifacts must have at most {_MOST_FILES} baselines, got: {found}"
        raise RefusedError(msg)


def _files(folder: Path) -> Iterator[Path]:
    """Yield all below a folder that is not a folder itself; a symbolic link to a folder is not followed."""
    if folder.is_symlink() or not folder.is_dir():
        if folder.is_symlink() or folder.exists():
            yield folder
        return
    for path in sorted(folder.iterdir()):
        _refuse_odd_name(path)
        yield from _files(path)


def _refuse_odd_name(path: Path) -> None:
    if not _NAME.fullmatch(path.name):
        msg = f"a baseline's path must have letters, digits and _+=,.()[]@~- only, got: {str(path)!r}"
        raise RefusedError(msg)


def _refuse_other_files(source: Path) -> None:
    if source.is_symlink() or not source.is_file() or source.suffix not in _ENDINGS:
        msg = f"a baseline must be a file that ends with {', '.join(sorted(_ENDINGS))}, got: {source}"
        raise RefusedError(msg)
    if source.stat().st_size > _LARGEST_BYTES:
        msg = f"a baseline must have at most {_LARGEST_BYTES} bytes, got: {source.stat().st_size} in {source}"
        raise RefusedError(msg)
    if source.suffix == ".json":
        try:
            json.loads(source.read_bytes())
        except (ValueError, RecursionError) as error:
            msg = f"a baseline must be valid JSON, got: {source}: {error}"
            raise RefusedError(msg) from error
