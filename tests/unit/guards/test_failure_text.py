"""Every failure has one layout, and every kind of figure one format."""

import pytest

from pytest_diffopt.guards.failure_text import change, explain, factor, in_columns, percent, size, time


def test_a_failure_has_one_layout() -> None:
    """Headline, facts, where it was seen, what differs, what to do: in this order."""
    lines = explain("it broke (0 allowed)", facts=["a", "b"], seen="x", differences=["c"], hint="fix it")

    assert lines == (
        "diffopt: it broke (0 allowed)",
        "  a",
        "  b",
        "seen x",
        "differs from the baseline's environment:",
        "  c",
        "fix it",
    )


def test_an_empty_part_has_no_line() -> None:
    """Only the headline is always present."""
    assert explain("it broke", hint="fix it") == ("diffopt: it broke", "fix it")


def test_rows_are_aligned_in_columns() -> None:
    """No rows give no lines."""
    assert in_columns([("a", "1"), ("long", "2")]) == ("a     1", "long  2")
    assert in_columns([]) == ()


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 ns"),
        (12, "12 ns"),
        (1_500, "1.50 us"),
        (12_340_000, "12.3 ms"),
        (999_000_000, "999 ms"),
        (2_412_345_678, "2.41 s"),
        (99_960_000_000, "100 s"),
        (1_234_000_000_000, "1234 s"),
    ],
)
def test_a_time_has_three_digits(nanoseconds: float, text: str) -> None:
    """The unit is the largest that is not above the time."""
    assert time(nanoseconds) == text


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (12, "12 B"),
        (1536, "1.50 KiB"),
        (5 << 20, "5.00 MiB"),
        (int(1.234 * (1 << 30)), "1.23 GiB"),
        (3 << 40, "3.00 TiB"),
    ],
)
def test_a_size_has_three_digits(num_bytes: float, text: str) -> None:
    """The unit is the largest that is not above the size."""
    assert size(num_bytes) == text


def test_shares_changes_and_factors() -> None:
    """A share has no sign, a change always has one."""
    assert (percent(0.05), change(0.05), change(-0.123), factor(1.05)) == ("5.0 %", "+5.0 %", "-12.3 %", "1.05x")
