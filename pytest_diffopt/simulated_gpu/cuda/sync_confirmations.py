"""Which torch versions confirmed the rows of the sync table: `make truth TRUTH_ARGS=--rows` writes the file."""

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.version import Version

_FILE = Path(__file__).with_suffix(".json")


@functools.cache
def confirmations() -> Mapping[str, tuple[str, ...]]:
    """Return for each confirmed row the torch versions, the oldest first."""
    return read(_FILE)


def read(path: Path) -> dict[str, tuple[str, ...]]:
    """Read the torch versions of each row from a file."""
    return {row: tuple(versions) for row, versions in json.loads(path.read_text(encoding="utf-8")).items()}


def record(torch_version: str, *, agreed: Iterable[str], differed: Iterable[str], path: Path = _FILE) -> None:
    """Add a torch version to the rows that agreed, and remove it from those that differed; no other row changes.

    Args:
        torch_version: the version, without its local label.
        agreed: the names of the rows of which every compared call had the same syncs.
        differed: the names of the other compared rows.
        path: the file.
    """
    known = {row: {*versions} for row, versions in read(path).items()}
    for row in agreed:
        known.setdefault(row, set()).add(torch_version)
    for row in differed:
        known.get(row, set()).discard(torch_version)
    in_order = {row: sorted(versions, key=Version) for row, versions in sorted(known.items()) if versions}
    path.write_text(json.dumps(in_order, indent=1) + "\n", encoding="utf-8")
