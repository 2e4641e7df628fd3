"""The layout of a chart: coordinates of its dots, lines and bands, which the templates draw as SVG."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 640.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 74.0, 12.0, 12.0, 30.0
_MARGIN = 0.08
_TICKS = 4
_MOST_X_TICKS = 12

Write = Callable[[float], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A series of values.

    Attributes:
        name: name in the legend.
        kind: CSS class that determines the style.
        points: x and y value of each point.
        is_line: whether a line joins the points.
    """

    name: str
    kind: str
    points: Sequence[tuple[float, float]]
    is_line: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """A range of allowed values.

    Attributes:
        low: lower end.
        high: upper end.
        centre: the accepted value; None if only limits are known.
        name: name in the legend.
    """

    low: float
    high: float
    centre: float | None
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Dot:
    """A point in page coordinates, with the text of its tooltip."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnSeries:
    """A series in page coordinates; `line` has the points of its line, or is empty."""

    name: str
    kind: str
    dots: tuple[Dot, ...]
    line: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A labelled position on an axis."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A chart in page coordinates; all lengths are in the units of the SVG view box.

    Attributes:
        title: title, also the accessible name.
        x_label: label of the x axis.
        series: the series.
        x_ticks: ticks of the x axis.
        y_ticks: ticks of the y axis.
        band_name: name of the band of allowed values; empty without a band.
        band_top: upper edge of the band.
        band_height: height of the band.
        centre: y coordinate of the accepted value; None without one.
        width: width of the view box.
        height: height of the view box.
        left: left edge of the plot area.
        right: right edge of the plot area.
        bottom: lower edge of the plot area.
    """

    title: str
    x_label: str
    series: tuple[DrawnSeries, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    band_name: str = ""
    band_top: float = 0.0
    band_height: float = 0.0
    centre: float | None = None
    width: float = _WIDTH
    height: float = _HEIGHT
    left: float = _LEFT
    right: float = _WIDTH - _RIGHT
    bottom: float = _HEIGHT - _BOTTOM


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    """A linear map from a range of values to a range of page coordinates."""

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.begin + share * (self.end - self.begin), 1)


def chart(  # noqa: PLR0913 - the parts of a chart
    title: str,
    series: Sequence[Series],
    *,
    write: Write,
    x_label: str,
    band: Band | None = None,
    includes: Sequence[float] = (),
) -> Chart:
    """Lay out a chart.

    Args:
        title: title of the chart.
        series: the series, with at least one point in all.
        write: formats a value.
        x_label: label of the x axis.
        band: the range of allowed values; None without one.
        includes: further values that the y axis must include.
    """
    points = [point for one in series for point in one.points]
    values = [value for _, value in points]
    y = _scale([*values, *includes, *((band.low, band.high) if band else ())], begin=_HEIGHT - _BOTTOM, end=_TOP)
    places = [place for place, _ in points]
    x = _scale(places, begin=_LEFT, end=_WIDTH - _RIGHT)
    return Chart(
        title=title,
        x_label=x_label,
        series=tuple(_drawn(one, x, y, write) for one in series if one.points),
        x_ticks=_x_ticks(places, x),
        y_ticks=_y_ticks(y, write),
        band_name=band.name if band else "",
        band_top=y(band.high) if band else 0.0,
        band_height=round(y(band.low) - y(band.high), 1) if band else 0.0,
        centre=y(band.centre) if band and band.centre is not None else None,
    )


def _scale(values: Sequence[float], *, begin: float, end: float) -> _Scale:
    low, high = min(values), max(values)
    room = (high - low) * _MARGIN or abs(high) * _MARGIN or 1.0
    return _Scale(low=low - room, high=high + room, begin=begin, end=end)


def _drawn(series: Series, x: _Scale, y: _Scale, write: Write) -> DrawnSeries:
    dots = tuple(Dot(x=x(place), y=y(value), text=f"{series.name}: {write(value)}") for place, value in series.points)
    line = " ".join(f"{dot.x},{dot.y}" for dot in dots) if series.is_line else ""
    return DrawnSeries(name=series.name, kind=series.kind, dots=dots, line=line)


def _x_ticks(places: Sequence[float], x: _Scale) -> tuple[Tick, ...]:
    """Return evenly chosen positions, few enough that their labels do not overlap."""
    distinct = sorted(set(places))
    every = -(-len(distinct) // _MOST_X_TICKS)
    return tuple(Tick(at=x(place), text=f"{place:g}") for place in distinct[::every])


def _y_ticks(y: _Scale, write: Write) -> tuple[Tick, ...]:
    """Return ticks at round values."""
    step = _round_step((y.high - y.low) / _TICKS)
    first = math.ceil(y.low / step)
    values = [step * number for number in range(first, math.floor(y.high / step) + 1)]
    return tuple(Tick(at=y(value), text=write(value)) for value in values)


def _round_step(step: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= step)
