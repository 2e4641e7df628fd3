"""Where the dots, lines and bands of a chart stand; the templates draw them as SVG."""

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
    """Values of one kind.

    Attributes:
        name: what they are, for the legend.
        kind: how they are drawn: the class of the stylesheet.
        points: where each stands and its value.
        is_line: whether a line joins them.
    """

    name: str
    kind: str
    points: Sequence[tuple[float, float]]
    is_line: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """What is allowed.

    Attributes:
        low: its lower end.
        high: its upper end.
        centre: what was accepted; None where only a limit is known.
        name: what it is, for the legend.
    """

    low: float
    high: float
    centre: float | None
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Dot:
    """A value on the page, with what a pointer or a screen reader tells of it."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnSeries:
    """A series on the page; `line` joins its dots, empty where nothing does."""

    name: str
    kind: str
    dots: tuple[Dot, ...]
    line: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A place on an axis."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A chart, ready to be drawn; lengths are in the units of its view box.

    Attributes:
        title: what it shows, for who cannot see it.
        series: what was seen.
        band_name: what the band is; empty without one.
        band_top: where it begins.
        band_height: how high it is.
        centre: where the accepted value is; None without one.
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
    """A range of values laid over a range of the page."""

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.begin + share * (self.end - self.begin), 1)


def chart(  # noqa: PLR0913 - what a chart is made of
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
        title: what it shows.
        series: what was seen, at least one value of it.
        write: writes a value.
        x_label: what the values are counted by.
        band: what is allowed.
        includes: values that the axis must reach.
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
    """Return whole numbers, as many as can be read beside each other."""
    distinct = sorted(set(places))
    every = -(-len(distinct) // _MOST_X_TICKS)
    return tuple(Tick(at=x(place), text=f"{place:g}") for place in distinct[::every])


def _y_ticks(y: _Scale, write: Write) -> tuple[Tick, ...]:
    """Return round numbers."""
    step = _round_step((y.high - y.low) / _TICKS)
    first = math.ceil(y.low / step)
    values = [step * number for number in range(first, math.floor(y.high / step) + 1)]
    return tuple(Tick(at=y(value), text=write(value)) for value in values)


def _round_step(step: float) -> float:
    """Return the nearest of 1, 2 and 5 times a power of ten that is not smaller."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= step)
