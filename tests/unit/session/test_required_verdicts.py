"""`--diffopt-require` is parsed strictly, and counts only verdicts that compared something."""

import pytest

from pytest_diffopt.errors import RequirementError
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Concern, Device
from pytest_diffopt.session.required_verdicts import parse_requirements
from tests.unit.reports.verdict_examples import entry, ledger


def test_a_requirement_counts_a_device_a_concern_or_an_outcome() -> None:
    """`gpu` is a real GPU; a concern of two words has a hyphen."""
    found = ledger(
        entry(device=Device.CUDA),
        entry(Outcome.REGRESSED, device=Device.CUDA),
        entry(concern=Concern.GRAPH_BREAKS),
    )
    counts = {
        str(requirement): requirement.count(found)
        for requirement in parse_requirements("gpu>=20, cuda >= 1,graph-breaks>=1, latency>=2, passed>=2,simulated>=1")
    }

    assert counts == {
        "gpu>=20": 2,
        "cuda>=1": 2,
        "graph-breaks>=1": 1,
        "latency>=2": 2,
        "passed>=2": 2,
        "simulated>=1": 0,
    }


@pytest.mark.parametrize("outcome", [Outcome.MISSING, Outcome.INCOMPARABLE, Outcome.INCONCLUSIVE])
def test_a_verdict_without_a_comparison_counts_only_for_its_outcome(outcome: Outcome) -> None:
    """It counts for no device and no concern."""
    found = ledger(entry(outcome, device=Device.CUDA))
    gpu, latency, named = parse_requirements(f"gpu>=1, latency>=1, {outcome}>=1")

    assert [requirement.count(found) for requirement in (gpu, latency, named)] == [0, 0, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu", "--diffopt-require takes \"gpu>=20, latency>=3\", got: 'gpu'"),
        ("gpu>20", "--diffopt-require takes \"gpu>=20, latency>=3\", got: 'gpu>20'"),
        ("gpu>=1,", "--diffopt-require takes \"gpu>=20, latency>=3\", got: ''"),
        ("gpu>=-1", "--diffopt-require takes \"gpu>=20, latency>=3\", got: 'gpu>=-1'"),
        ("gpu>=1.5", "--diffopt-require takes \"gpu>=20, latency>=3\", got: 'gpu>=1.5'"),
        ("GPU>=1", "--diffopt-require takes \"gpu>=20, latency>=3\", got: 'GPU>=1'"),
        ("gpu>=\u0661", "--diffopt-require takes \"gpu>=20, latency>=3\", got: 'gpu>=\u0661'"),
        ("gpu>=0", "--diffopt-require must ask for at least 1, got: 'gpu>=0'"),
        ("gpu>=1, gpu>=2", "--diffopt-require names 'gpu' twice, got: 'gpu>=1, gpu>=2'"),
        (
            "latencies>=3",
            "--diffopt-require knows no 'latencies' (did you mean 'latency'?); it takes a device "
            "(gpu, cuda, null-gpu, simulated, cpu), a concern (applied, effect, graph-breaks, recompiles, compilation, "
            "numerics, syncs, images, repeatability, counts, kernels, latency, memory, own-guard) or an outcome "
            "(passed, regressed, improved, missing, unwatched, incomparable, inconclusive)",
        ),
    ],
)
def test_an_invalid_requirement_is_refused(text: str, message: str) -> None:
    """The message contains the rule, the value and the closest known name."""
    with pytest.raises(RequirementError) as caught:
        parse_requirements(text)

    assert str(caught.value) == message
