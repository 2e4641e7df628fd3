"""`--junit-xml` contains the figures as properties."""

import xml.etree.ElementTree as ET

import pytest

SLOWER = """
import pytest
from injected_verdicts import takes

@pytest.fixture
def after():
    yield
    takes(100)

def test_slower(after):
    takes(120)
"""


def properties(pytester: pytest.Pytester) -> list[tuple[str | None, str | None]]:
    """Return the properties of the only test, in order."""
    tree = ET.parse(pytester.path / "junit.xml")  # noqa: S314 - written by this test
    return [(one.get("name"), one.get("value")) for one in tree.iterfind(".//testcase/properties/property")]


def test_every_figure_is_a_property_once(injected: pytest.Pytester) -> None:
    """Figures of a verdict in the test, and of one in the teardown of a fixture."""
    injected.makepyfile(test_it=SLOWER)
    injected.runpytest_inprocess("--junit-xml=junit.xml")
    found = properties(injected)

    assert ("diffopt.latency.outcome", "regressed") in found
    assert ("diffopt.latency.median_ns", "120000000.0") in found
    assert ("diffopt.latency.accepted_median_ns", "100000000.0") in found
    assert len(found) == len(set(found)) == 10


def test_other_tests_have_no_properties(injected: pytest.Pytester) -> None:
    """Only diffopt tests have properties."""
    injected.makepyfile(test_it="def test_other(): pass")
    injected.runpytest_inprocess("--junit-xml=junit.xml")

    assert properties(injected) == []
