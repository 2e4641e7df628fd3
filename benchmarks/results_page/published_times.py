"""What others published in seconds: rows of one setting, each faster than the one before."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from benchmarks.results_page.reading import Positive, Text, read_document

_FILE = Path(__file__).with_name("published_times.json")


class PublishedRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One time.

    Attributes:
        name: our name of the level, pipeline or precision.
        adds: what it adds to the row before.
        seconds: of one call.
    """

    name: Text
    adds: Text
    seconds: Positive


class PublishedTimes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows of one source.

    Attributes:
        title: what it is called.
        link: where it is.
        gpu: the GPU's name, as `simulated_gpu.GPUs` knows it.
        setting: what was called, and where.
        rows: from the first, which the others are compared with.
    """

    title: Text
    link: Text
    gpu: Text
    setting: Text
    rows: Annotated[tuple[PublishedRow, ...], Meta(min_length=2)]

    def gains(self) -> dict[str, float]:
        """Return how many times as fast as the first row each is, by its name."""
        return {row.name: self.rows[0].seconds / row.seconds for row in self.rows}

    @property
    def total(self) -> float:
        """How many times as fast as the first row the last is."""
        return self.rows[0].seconds / self.rows[-1].seconds


class Published(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every source of times.

    Attributes:
        ladder: the article's six levels.
        distilled: smaller models.
        precision: lower precisions, on older software.
    """

    ladder: PublishedTimes
    distilled: PublishedTimes
    precision: PublishedTimes


def published_times() -> Published:
    """Read them.

    Raises:
        FiguresError: the file was spoilt.
    """
    return read_document(_FILE, Published)
