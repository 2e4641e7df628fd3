"""A figure is formatted in the unit of its name."""

from pytest_diffopt.reports.figures import compared_figures, figure, old_and_new


def test_units_come_from_names() -> None:
    """Times, sizes, counts and fractions."""
    assert figure("latency_ns", 12_300_000) == "12.3 ms"
    assert figure("peak_bytes", 1024) == "1.00 KiB"
    assert figure("operations", 1_234_567) == "1,234,567"
    assert figure("ssim", 0.98765) == "0.9877"


def test_old_and_new_value_with_the_change() -> None:
    """A missing value is a dash, and a value that was zero has no relative change."""
    assert old_and_new("latency_ns", 10e6, 12e6) == "10.0 ms -> 12.0 ms (+20.0 %)"
    assert old_and_new("graphs", None, 2.0) == "- -> 2"
    assert old_and_new("graphs", 2.0, None) == "2 -> -"
    assert old_and_new("breaks", 0.0, 1.0) == "0 -> 1"


def test_only_figures_that_differ_from_their_accepted_counterpart_are_compared() -> None:
    """Without any the result is empty."""
    figures = {"flops": 2.0, "accepted_flops": 2.0, "median_ns": 12e6, "accepted_median_ns": 10e6, "steps": 4.0}

    assert compared_figures(figures) == "median 10.0 ms -> 12.0 ms (+20.0 %)"
    assert not compared_figures({"syncs": 4.0})
