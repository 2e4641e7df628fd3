"""The images of the page: speedups of the ladder, and speedups by compilation."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.results_page.ladder_section import modern_levels
from benchmarks.results_page.page import GAINS_IMAGE, LADDER_IMAGE, Figures
from benchmarks.results_page.published_table import GPUS
from benchmarks.results_page.reading import FiguresError
from benchmarks.results_page.table_section import measured_gain, places, published_gain

_METADATA = {"Date": None, "Creator": None}
_OWN_COLOR = "black"
_ROOM_FOR_LABELS = 1.12


def draw_images(figures: Figures, page: Path) -> list[Path]:
    """Draw the page's images next to it, and return their files.

    Raises:
        FiguresError: matplotlib is not installed.
    """
    drawn = {LADDER_IMAGE: _draw_ladder, GAINS_IMAGE: _draw_gains}
    files = {name: page.with_name(f"{page.stem}-{name}.svg") for name in drawn}
    for name, draw in drawn.items():
        with _plotting() as pyplot:
            figure = draw(pyplot, figures)
            figure.tight_layout()
            figure.savefig(files[name], metadata=_METADATA)
            pyplot.close(figure)
    return list(files.values())


@contextmanager
def _plotting() -> Iterator[Any]:
    try:
        import matplotlib as mpl  # noqa: PLC0415 - optional, only for the images
    except ImportError as error:
        msg = "the page's images need matplotlib: pip install 'pytest-diffopt[test]'"
        raise FiguresError(msg) from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is selected

    with mpl.rc_context(
        {"svg.hashsalt": "results", "svg.fonttype": "none"}
    ):  # reproducible bytes, and text instead of paths
        yield plt


def _draw_ladder(pyplot: Any, figures: Figures) -> Any:
    """Draw the speedup of each level over the first, for the article and for the measurement."""
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    article = figures.published.ladder.gains()
    _line(axes, article, label=f"the article, {figures.published.ladder.gpu}", color="tab:blue")
    if measured := figures.measured_ladder:
        names = [*article, *modern_levels()]
        gains = {name: gain for name in names if (gain := measured.gain(name))}
        label = _label(figures)
        _line(axes, {name: gain for name, gain in gains.items() if name in article}, label=label, color=_OWN_COLOR)
        modern = {name: gain for name, gain in gains.items() if name not in article}
        _line(axes, modern, label=f"{label}, modern levels", color="tab:green")
    axes.set(ylabel="speedup over the first level", title=_title(figures, "SDXL's ladder"))
    axes.tick_params(axis="x", labelrotation=25)
    axes.set_ylim(0, _ROOM_FOR_LABELS * axes.dataLim.y1)
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    return figure


def _line(axes: Any, gains: Mapping[str, float], *, label: str, color: str) -> None:
    if not gains:
        return
    axes.plot(list(gains), list(gains.values()), marker="o", label=label, color=color)
    for name, gain in gains.items():
        axes.annotate(f"{gain:.2f}", (name, gain), xytext=(0, 6), textcoords="offset points", ha="center", color=color)


def _draw_gains(pyplot: Any, figures: Figures) -> Any:
    """Draw bars for each pipeline with a speedup on any GPU, with one panel for each batch size."""
    batches = sorted({batch for _, batch in places()})
    figure, panels = pyplot.subplots(len(batches), 1, figsize=(9, 3 * len(batches)), sharex=True)
    pipelines = [one for one in dict.fromkeys(pipeline for pipeline, _ in places()) if _has_gain(figures, one)]
    for axes, batch in zip(panels, batches, strict=True):
        series = _gains(figures, pipelines, batch)
        for number, (label, gains) in enumerate(series.items()):
            _bars(axes, gains, number=number, num_series=len(series), label=label)
        axes.axhline(1, color="grey", linewidth=0.8)
        axes.set(ylabel="compiled ÷ not compiled", title=_title(figures, f"batch {batch}"))
        axes.set_xticks(range(len(pipelines)), pipelines, rotation=25)
    panels[0].legend(fontsize="small", ncols=2)
    return figure


def _gains(figures: Figures, pipelines: Sequence[str], batch: int) -> dict[str, list[float | None]]:
    """Return the speedups on each GPU, in the order of the pipelines; None if there is none."""
    table = figures.published_table
    series = {gpu: [published_gain(table, gpu, one, batch).ratio for one in pipelines] for gpu in GPUS}
    if here := figures.measured.get("table"):
        series[_label(figures)] = [measured_gain(here.cases, one, batch).ratio for one in pipelines]
    return series


def _has_gain(figures: Figures, pipeline: str) -> bool:
    batches = [batch for one, batch in places() if one == pipeline]
    return any(gain for batch in batches for gains in _gains(figures, [pipeline], batch).values() for gain in gains)


def _bars(axes: Any, gains: Sequence[float | None], *, number: int, num_series: int, label: str) -> None:
    width = 0.8 / num_series
    at = [place + (number - (num_series - 1) / 2) * width for place in range(len(gains))]
    color = _OWN_COLOR if number == len(GPUS) else f"C{number}"
    axes.bar(at, [gain or 0 for gain in gains], width, label=label, color=color)


def _label(figures: Figures) -> str:
    return figures.machine.device if figures.machine else ""


def _title(figures: Figures, text: str) -> str:
    return f"{text} (rehearsal, not measured)" if figures.is_rehearsal else text
