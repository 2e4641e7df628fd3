"""Unique names of the pipelines of an atlas: some are tested with several configurations."""

import re
from collections import Counter
from collections.abc import Iterable

from benchmarks.atlas.entries import Entry


def labels(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the label of each entry, by its name: the class of its pipeline, with the test file if others share it."""
    known = list(entries)
    counts = Counter(entry.pipeline for entry in known)
    return {entry.name: entry.pipeline if counts[entry.pipeline] == 1 else _with_file(entry) for entry in known}


def anchor(label: str) -> str:
    """Return the anchor of a label."""
    return re.sub(r"\W+", "-", label).strip("-")


def _with_file(entry: Entry) -> str:
    return f"{entry.pipeline} ({entry.group}/{entry.case.partition('::')[0]})"
