"""Published times: rows of one setting, each faster than the previous one."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from benchmarks.results_page.reading import Positive, Text, read_document

_FILE = Path(__file__).with_name("published_times.json")


class PublishedRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One published time.

    Attributes:
        name: our name of the level, pipeline or precision.
        adds: optimization added to the previous row.
        seconds: time of one call.
    """

    name: Text
    adds: Text
    seconds: Positive


class PublishedTimes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows of one source.

    Attributes:
        title: title of the source.
        link: URL of the source.
        gpu: name of the GPU model in `simulated_gpu.cost.gpus`.
        setting: description of the call and the machine.
        rows: the times; speedups refer to the first.
    """

    title: Text
    link: Text
    gpu: Text = field(name="card")
    setting: Text
    rows: Annotated[tuple[PublishedRow, ...], Meta(min_length=2)]

    def gains(self) -> dict[str, float]:
        """Return the speedup of each row over the first, by name."""
        return {row.name: self.rows[0].seconds / row.seconds for row in self.rows}

    @property
    def total(self) -> float:
        """Speedup of the last row over the first."""
        return self.rows[0].seconds / self.rows[-1].seconds


class Published(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All published times.

    Attributes:
        ladder: the six levels of the article.
        distilled: distilled models.
        precision: lower precisions, with older software.
    """

    ladder: PublishedTimes
    distilled: PublishedTimes
    precision: PublishedTimes


def published_times() -> Published:
    """Read the published times.

    Raises:
        FiguresError: the file is invalid.
    """
    return read_document(_FILE, Published)
