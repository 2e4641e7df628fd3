"""A speed-up is decided only when the whole interval is on one side of the required factor."""

import math
import random
from dataclasses import replace

import pytest

from pytest_diffopt.guards.faster import MIN_PAIRS, judge_ratio, more_pairs_needed
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import RatioRecord
from tests.unit.guards.guard_examples import SEEN, SUBJECT

REFERENCE = replace(SUBJECT, recipe="fp32")


def record(speed_up: float, *, pairs: int = 20, noise: float = 0.01) -> RatioRecord:
    """Return interleaved timings of a subject and its reference."""
    dice = random.Random(0)  # noqa: S311 - no secret
    return RatioRecord(
        subject=SUBJECT,
        reference=REFERENCE,
        subject_ns=tuple(int(1e9 / speed_up * math.exp(dice.gauss(0, noise))) for _ in range(pairs)),
        reference_ns=tuple(int(1e9 * math.exp(dice.gauss(0, noise))) for _ in range(pairs)),
    )


def test_an_injected_slowdown_fails() -> None:
    """The whole interval is below the required factor: the interval, both medians and both recipes are shown."""
    verdict = judge_ratio(record(1.05), required=1.2)

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "1.05x as fast as the reference (at least 1.20x required)"
    assert verdict.explanation == (
        "diffopt: only 1.05x as fast as the reference (at least 1.20x required)",
        "  speed-up   1.05x, 99.0 % confidence interval 1.04x to 1.06x, from 20 pairs",
        f"  subject    948 ms, {SEEN}",
        f"  reference  999 ms, {SEEN.replace('bf16 + sdpa', 'fp32')}",
        "  process    one: how much another start of it would differ is not included",
        "seen on cuda, both timed interleaved in one process",
        "to accept this: lower by=... in the test",
    )


def test_its_clean_counterpart_passes() -> None:
    """The whole interval is above the required factor: no explanation, all figures kept."""
    verdict = judge_ratio(record(1.3), required=1.2)

    assert verdict.outcome is Outcome.PASSED
    assert verdict.explanation == ()
    assert verdict.figures["speed_up_low"] >= 1.2
    assert verdict.figures["required_speed_up"] == 1.2


def test_an_interval_around_the_required_factor_is_inconclusive() -> None:
    """The hint estimates how many pairs would decide it."""
    noisy = record(1.21, noise=0.05)
    verdict = judge_ratio(noisy, required=1.2)
    more = more_pairs_needed(noisy, required=1.2)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.explanation[0] == (
        "diffopt: too noisy to decide: 1.15x to 1.28x as fast as the reference (at least 1.20x required)"
    )
    assert verdict.explanation[-1] == (
        f"measure longer: about {more} more pairs would decide it, raise --diffopt-max-seconds"
    )
    assert more > 0


@pytest.mark.parametrize("speed_up", [0.5, 2.0])
def test_too_few_pairs_are_inconclusive(speed_up: float) -> None:
    """Fewer than six pairs are not judged, however clear they are."""
    few = record(speed_up, pairs=MIN_PAIRS - 1)

    verdict = judge_ratio(few, required=1.2)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.explanation[0].startswith("diffopt: too few pairs to decide: ")
    assert verdict.explanation[-1] == "measure longer: about 1 more pair would decide it, raise --diffopt-max-seconds"
    assert more_pairs_needed(few, required=1.2) == 1


def test_a_decision_needs_no_more_pairs() -> None:
    """Whether it passes or fails."""
    assert more_pairs_needed(record(2.0), required=1.2) == 0
    assert more_pairs_needed(record(0.5), required=1.2) == 0
