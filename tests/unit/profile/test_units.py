"""Formatted figures."""

import pytest

from pytest_diffopt.profile.units import shown_bytes, shown_count, shown_seconds


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0"), (1706, "1706"), (9999, "9999"), (51180, "51.2 k"), (13522472796160, "13.5 T")]
)
def test_counts(count: int, shown: str) -> None:
    """Small counts are shown in full; larger ones with three digits and a prefix."""
    assert shown == shown_count(count)


@pytest.mark.parametrize(("nbytes", "shown"), [(0, "0 B"), (16, "16 B"), (9480, "9.48 kB"), (9849359872, "9.85 GB")])
def test_bytes(nbytes: int, shown: str) -> None:
    """Bytes are shown in powers of ten."""
    assert shown == shown_bytes(nbytes)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.0, "0 s"), (2.115, "2.12 s"), (0.0137, "13.7 ms"), (2.15e-6, "2.15 us"), (1e-7, "0.1 us")]
)
def test_seconds(seconds: float, shown: str) -> None:
    """Times are shown in the unit in which they are at least 1."""
    assert shown == shown_seconds(seconds)
