"""Every figure of a test becomes a property with a unique name."""

from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern
from pytest_diffopt.reports.properties import properties_of
from tests.unit.reports.verdict_examples import entry


def test_figures_are_named_by_their_concern() -> None:
    """The second verdict of a concern is numbered."""
    entries = [
        entry(Outcome.REGRESSED, Concern.GRAPH_BREAKS, figures={"graph_breaks": 2}),
        entry(Outcome.PASSED, Concern.LATENCY, figures={"median_ns": 1.5}),
        entry(Outcome.PASSED, Concern.LATENCY, figures={"median_ns": 2.5}),
    ]

    assert properties_of(entries) == [
        ("diffopt.graph-breaks.outcome", "regressed"),
        ("diffopt.graph-breaks.graph_breaks", 2),
        ("diffopt.latency.outcome", "passed"),
        ("diffopt.latency.median_ns", 1.5),
        ("diffopt.latency-2.outcome", "passed"),
        ("diffopt.latency-2.median_ns", 2.5),
    ]


def test_numbering_continues_across_phases() -> None:
    """Setup, call and teardown of a test add their properties separately."""
    first = properties_of([entry()])

    assert properties_of([entry()], first) == [("diffopt.latency-2.outcome", "passed")]
