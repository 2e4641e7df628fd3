"""Charts place values in proportion, with round numbers on the axis."""

import itertools

import pytest

from pytest_diffopt.guards.failure_text import time
from pytest_diffopt.reports.page.charts import Band, Chart, Series, chart

MS = 1_000_000


def drawn(*values: float, band: Band | None = None) -> Chart:
    """Lay out values in order."""
    series = Series(name="call", kind="sample", points=[*enumerate(values, start=1)])
    return chart("Time of each call", [series], write=time, x_label="call", band=band)


def test_larger_values_are_higher_and_later_values_further_right() -> None:
    """The y coordinate of the page grows downward."""
    dots = drawn(10 * MS, 30 * MS, 20 * MS).series[0].dots
    first, second, third = dots

    assert first.x < second.x < third.x
    assert first.y > third.y > second.y
    assert third.y == pytest.approx((first.y + second.y) / 2, abs=0.1)
    assert [dot.text for dot in dots] == ["call: 10.0 ms", "call: 30.0 ms", "call: 20.0 ms"]


def test_the_band_uses_the_scale_of_the_values() -> None:
    """A dot at its upper end is on its upper edge."""
    band = Band(low=10 * MS, high=30 * MS, centre=20 * MS, name="accepted")
    found = drawn(30 * MS, 10 * MS, 20 * MS, band=band)
    high, low, centre = (dot.y for dot in found.series[0].dots)

    assert found.band_top == high
    assert found.band_top + found.band_height == pytest.approx(low, abs=0.11)
    assert found.centre == centre


def test_the_axis_includes_the_band() -> None:
    """Values far from the accepted range and the range itself are both inside the plot."""
    found = drawn(100 * MS, band=Band(low=10 * MS, high=20 * MS, centre=None, name="accepted"))

    assert 0 < found.series[0].dots[0].y < found.band_top < found.band_top + found.band_height < found.bottom
    assert found.centre is None


@pytest.mark.parametrize("values", [(2400 * MS, 2410 * MS), (0.001, 0.33), (7.0,), (0.0, 0.0), (-0.02, 0.04)])
def test_ticks_are_few_round_and_evenly_spaced(values: tuple[float, ...]) -> None:
    """Also if all values are equal or zero."""
    series = [Series(name="x", kind="sample", points=[*enumerate(values)])]
    found = chart("x", series, write=lambda value: f"{value:.12g}", x_label="x")
    written = [float(tick.text) for tick in found.y_ticks]
    steps = {f"{after - before:.1e}"[0] for before, after in itertools.pairwise(written)}

    assert 2 <= len(written) <= 6
    assert steps <= {"1", "2", "5"}
    assert all(0 < tick.at <= found.bottom for tick in found.y_ticks)


def test_many_values_share_few_ticks() -> None:
    """So many that their labels do not overlap."""
    assert len(drawn(*range(100, 200)).x_ticks) <= 12


def test_a_line_joins_the_dots_only_if_requested() -> None:
    """Charts of drift have a line, charts of calls do not."""
    series = Series(name="drift", kind="drift", points=[(0, 0.1), (1, 0.2)], is_line=True)
    found = chart("x", [series], write=str, x_label="step").series[0]

    assert found.line == " ".join(f"{dot.x},{dot.y}" for dot in found.dots)
    assert drawn(1, 2).series[0].line == ""


def test_an_empty_series_is_omitted() -> None:
    """The legend has only series with values."""
    empty = Series(name="throttled", kind="throttled", points=[])
    full = Series(name="call", kind="sample", points=[(1, 5.0)])

    assert [one.name for one in chart("x", [empty, full], write=str, x_label="x").series] == ["call"]
