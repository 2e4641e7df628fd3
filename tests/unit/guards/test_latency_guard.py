"""A call fails when it is slower than the margin and the floor allow."""

from dataclasses import replace

import pytest
from msgspec.structs import replace as with_changes

from pytest_diffopt.baselines.documents import AcceptedSubject, LatencyBaseline
from pytest_diffopt.baselines.figures import CallFigures
from pytest_diffopt.guards.latency import judge_latency
from pytest_diffopt.guards.verdict import FigureChange, Outcome, Verdict
from pytest_diffopt.records import Device, Environment, LatencyRecord
from tests.unit.guards.guard_examples import COUNTS, ENVIRONMENT, NEWER, OTHER_GPU, RERUN, SEEN, STEP, SUBJECT

MS = 1_000_000


def record(*milliseconds: int, num_steps: int = 30) -> LatencyRecord:
    """Return calls that took this long."""
    samples = tuple(one * MS for one in milliseconds)
    return LatencyRecord(subject=SUBJECT, warmup_ns=(9000 * MS, 2200 * MS), samples_ns=samples, num_steps=num_steps)


def accepted(*milliseconds: int, margin: float = 0.05, floor_ms: int = 5, num_steps: int = 30) -> LatencyBaseline:
    """Return a baseline of sessions with one sample each."""
    first, *others = (record(one, num_steps=num_steps) for one in milliseconds)
    baseline = LatencyBaseline.from_record(
        first, case="test_latency[sdxl]", environment=ENVIRONMENT, margin=margin, floor_ns=floor_ms * MS, reason="new"
    )
    for other in others:
        baseline = baseline.with_session(other, environment=ENVIRONMENT)
    return baseline


def judge(now: LatencyRecord, baseline: LatencyBaseline | None, *, environment: Environment = ENVIRONMENT) -> Verdict:
    """Judge on the GPU of the examples."""
    return judge_latency(now, baseline, environment=environment, rerun=RERUN)


def test_an_injected_regression_fails() -> None:
    """9.5 % slower than the median session: every figure, what is allowed, and the command that accepts it."""
    verdict = judge(record(2400, 2410, 2420), accepted(2200, 2190, 2210))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "2.41 s, 12.4 steps/s (+9.5 %)"
    assert verdict.explanation == (
        "diffopt: the call became 9.5 % slower: 2.41 s (2.31 s allowed)",
        "  now       2.41 s, median of 3 calls, spread 0.6 %",
        "  accepted  2.20 s, median of 3 sessions from 2.19 s to 2.21 s",
        "  sessions  they differ by 0.45 %, one standard deviation: the same code exceeds 5.0 % in 0.65 % of sessions",
        "  change    210 ms (5.0 % or 5.00 ms allowed, whichever is larger)",
        "  per step  80.3 ms, accepted 73.3 ms (30 steps)",
        f"seen on NVIDIA H200, {SEEN}",
        f"to accept this: {RERUN} --diffopt-update all",
    )
    assert verdict.figures == pytest.approx(
        {
            "median_ns": 2410 * MS,
            "accepted_median_ns": 2200 * MS,
            "tolerance_ns": 110 * MS,
            "relative_change": 0.0954545,
        }
    )
    assert verdict.changes == (FigureChange(where="a call", figure="median_ns", before=2200 * MS, after=2410 * MS),)


def counted(what: LatencyRecord, *, operations: int) -> LatencyRecord:
    """Return the counts of a step with this many operations; the GPU's roofline is one second."""
    counts = replace(COUNTS, phases=(replace(STEP, operations=operations),))
    return replace(what, counts=counts, roofline_ns=1000.0 * MS)


def test_a_regression_is_reported_with_the_changed_counts() -> None:
    """The share of the roofline is in the summary, the explanation and the figures."""
    baseline = LatencyBaseline.from_record(
        counted(record(2000), operations=1204),
        case="test_latency[sdxl]",
        environment=ENVIRONMENT,
        margin=0.05,
        floor_ns=MS,
        reason="new",
    )
    verdict = judge(counted(record(2500), operations=1390), baseline)

    assert verdict.summary == "2.50 s, 12.0 steps/s, 40 % of the roofline (+25.0 %)"
    assert verdict.explanation[5:10] == (
        "  per step  83.3 ms, accepted 66.7 ms (30 steps)",
        "  roofline  1.00 s, the lower bound at this GPU's peak rates",
        "  counts that changed, on the simulated GPU:",
        "    operations in steps 1-29  1 204 -> 1 390",
        f"seen on NVIDIA H200, {SEEN}",
    )
    assert verdict.figures["roofline_share"] == pytest.approx(0.4)


def test_a_regression_without_changed_counts_is_reported() -> None:
    """So is the reason why nothing was counted; a baseline without counts adds no line."""
    baseline = accepted(2000)
    with_counts = with_changes(baseline, counts=CallFigures.of(COUNTS))
    now = record(2500)

    same = judge(replace(now, counts=COUNTS), with_counts)
    uncounted = judge(replace(now, why_not_counted="no shape rule"), with_counts)

    assert any("no count changed" in line for line in same.explanation)
    assert "  not counted: no shape rule" in uncounted.explanation
    assert not any("count" in line for line in judge(replace(now, counts=COUNTS), baseline).explanation)


def test_the_counts_of_the_last_session_are_kept() -> None:
    """An added session replaces the counts, also with none."""
    first = accepted(2000)
    second = first.with_session(counted(record(2000), operations=1390), environment=ENVIRONMENT)

    assert first.counts is None
    assert second.counts is not None
    assert second.counts.phases["steps 1-29"].operations == 1390


def test_its_clean_counterpart_passes() -> None:
    """The same call at the accepted speed passes without an explanation."""
    verdict = judge(record(2200, 2210, 2190), accepted(2200, 2190, 2210))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.summary == "2.20 s, 13.6 steps/s (+0.0 %)"
    assert verdict.explanation == ()


def test_one_slow_call_is_no_regression() -> None:
    """The median is judged, so a single slow call passes."""
    assert judge(record(2200, 2210, 9000), accepted(2200)).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("now", "outcome"),
    [
        (104, Outcome.PASSED),  # past the margin of 1 %, within the floor of 5 ms
        (105, Outcome.PASSED),  # just at the floor
        (106, Outcome.REGRESSED),
        (96, Outcome.PASSED),
        (94, Outcome.IMPROVED),
    ],
)
def test_a_short_call_is_guarded_by_the_floor(now: int, outcome: Outcome) -> None:
    """A change past the margin alone does not count, in either direction."""
    assert judge(record(now), accepted(100, margin=0.01, floor_ms=5)).outcome is outcome


def test_a_long_call_is_guarded_by_the_margin() -> None:
    """A change past the floor alone does not count."""
    assert judge(record(10_400), accepted(10_000)).outcome is Outcome.PASSED
    assert judge(record(10_501), accepted(10_000)).outcome is Outcome.REGRESSED


def test_an_improvement_is_reported() -> None:
    """A faster call has the versions that differ and the command that keeps the gain."""
    verdict = judge(record(1500, num_steps=0), accepted(2000, num_steps=0), environment=NEWER)

    assert verdict.outcome is Outcome.IMPROVED
    assert verdict.summary == "1.50 s (-25.0 %)"
    assert verdict.explanation == (
        "diffopt: the call became 25.0 % faster: 1.50 s (2.10 s allowed)",
        "  now       1.50 s, median of 1 call, spread 0.0 %",
        "  accepted  2.00 s, median of 1 session",
        "  sessions  one cannot show how much sessions differ: --diffopt-update all adds more",
        "  change    500 ms (5.0 % or 5.00 ms allowed, whichever is larger)",
        f"seen on NVIDIA H200, {SEEN}",
        "differs from the baseline's environment:",
        "  torch    2.14.0, accepted with 2.13.0",
        "  torchao  1.0, accepted with none",
        f"to keep the gain: {RERUN} --diffopt-update all",
    )


def test_a_missing_baseline_fails_with_the_command_that_makes_one() -> None:
    """A latency without a baseline guards nothing."""
    verdict = judge(record(2410), None)

    assert verdict.outcome is Outcome.MISSING
    assert verdict.summary == "2.41 s, 12.4 steps/s, no baseline"
    assert verdict.explanation == (
        "diffopt: no latency baseline has been accepted: 2.41 s, 12.4 steps/s",
        f"seen on NVIDIA H200, {SEEN}",
        f"to accept it: {RERUN} --diffopt-update missing",
    )


def test_a_baseline_of_another_gpu_recipe_or_step_count_is_not_compared() -> None:
    """Each difference is named, with both texts."""
    baseline = accepted(2000, num_steps=20)
    subject = with_changes(baseline.subject, recipe="fp32")
    verdict = judge(record(2410), with_changes(baseline, subject=subject), environment=OTHER_GPU)

    assert verdict.outcome is Outcome.INCOMPARABLE
    assert verdict.summary == "baseline of a different recipe, device name, number of steps"
    assert verdict.explanation == (
        "diffopt: the latency baseline was made with a different recipe, device name, number of steps: "
        "nothing was compared",
        "  recipe           bf16 + sdpa, accepted with fp32",
        "  device name      NVIDIA L4, accepted with NVIDIA H200",
        "  number of steps  30, accepted with 20",
        f"to replace it: {RERUN} --diffopt-update all",
    )


def test_a_call_that_is_still_getting_faster_is_inconclusive() -> None:
    """Its median is not the pipeline's latency, so the test is skipped with that reason."""
    verdict = judge(replace(record(2200), is_warm=False), accepted(2200))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.explanation[0] == (
        "diffopt: the call was still getting faster after 2 warm-up calls: 2.20 s (2.31 s allowed)"
    )
    assert verdict.explanation[-1] == "measure longer: raise --diffopt-max-seconds"


def test_host_time_is_shown_beside_the_devices_roofline() -> None:
    """It is no share of a GPU's time."""
    on_null_gpu = replace(SUBJECT, device=Device.NULL_GPU)
    baseline = accepted(2000)
    baseline = with_changes(baseline, subject=AcceptedSubject.of(on_null_gpu))
    verdict = judge(replace(counted(record(2500), operations=1204), subject=on_null_gpu), baseline)

    assert verdict.summary == (
        "2.50 s of host time, 12.0 steps/s (+25.0 %); host 2.50 s, device at least 1.00 s: launch-bound"
    )
    assert "  device    at least 1.00 s, by the roofline of the GPU that it stands in for" in verdict.explanation
    assert verdict.figures["device_at_least_ns"] == 1e9
    assert "roofline_share" not in verdict.figures
