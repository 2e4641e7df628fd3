"""A figure is written in the unit that its name says."""

from pytest_diffopt.reports.figures import compared_figures, figure, old_and_new


def test_units_come_from_names() -> None:
    """Times, amounts of memory, counts and shares."""
    assert figure("latency_ns", 12_300_000) == "12.3 ms"
    assert figure("peak_bytes", 1024) == "1.00 KiB"
    assert figure("operations", 1_234_567) == "1,234,567"
    assert figure("ssim", 0.98765) == "0.9877"


def test_old_and_new_stand_side_by_side() -> None:
    """With the change; what is not there is a dash, and nothing is so many times nothing."""
    assert old_and_new("latency_ns", 10e6, 12e6) == "10.0 ms -> 12.0 ms (+20.0 %)"
    assert old_and_new("graphs", None, 2.0) == "- -> 2"
    assert old_and_new("graphs", 2.0, None) == "2 -> -"
    assert old_and_new("breaks", 0.0, 1.0) == "0 -> 1"


def test_only_figures_with_an_accepted_counterpart_of_another_value_are_compared() -> None:
    """The rest is the verdict's own summary."""
    figures = {"flops": 2.0, "accepted_flops": 2.0, "median_ns": 12e6, "accepted_median_ns": 10e6, "steps": 4.0}

    assert compared_figures(figures) == "median 10.0 ms -> 12.0 ms (+20.0 %)"
    assert not compared_figures({"syncs": 4.0})
