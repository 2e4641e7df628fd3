"""Judge whether one call is faster than another by a required factor, both timed interleaved in the same run."""

from pytest_diffopt.guards.failure_text import counted, explain, factor, in_columns, percent, time
from pytest_diffopt.guards.host_time import timed_on
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, RatioRecord
from pytest_diffopt.statistics.intervals import RatioInterval, median, pairs_needed, ratio_interval

#: The least number of pairs that can be judged: fewer do not determine their spread well enough for an interval.
MIN_PAIRS = 6
CONFIDENCE = 0.99


def judge_ratio(record: RatioRecord, *, required: float, confidence: float = CONFIDENCE) -> Verdict:
    """Compare the whole confidence interval of the speed-up with the factor that a test requires.

    Args:
        record: samples of both calls, in pairs.
        required: the required speed-up over the reference; 1.2 is 20 % more calls in the same time.
        confidence: the confidence of the interval, as a fraction.
    """
    interval = ratio_interval(record.reference_ns, record.subject_ns, confidence=confidence)
    outcome = _outcome(interval, required)
    return Verdict(
        concern=Concern.LATENCY,
        outcome=outcome,
        subject=record.subject,
        summary=f"{factor(interval.ratio)} as fast as the reference (at least {factor(required)} required)",
        explanation=() if outcome is Outcome.PASSED else _explanation(outcome, interval, record, required),
        figures={
            "speed_up": interval.ratio,
            "speed_up_low": interval.low,
            "speed_up_high": interval.high,
            "required_speed_up": required,
        },
    )


def more_pairs_needed(record: RatioRecord, *, required: float, confidence: float = CONFIDENCE) -> int:
    """Estimate how many more pairs a measurement needs to decide; 0 when those of the record decide.

    Args:
        record: samples of both calls, in pairs.
        required: the required speed-up over the reference.
        confidence: the confidence of the interval, as a fraction.
    """
    interval = ratio_interval(record.reference_ns, record.subject_ns, confidence=confidence)
    if _outcome(interval, required) is not Outcome.INCONCLUSIVE:
        return 0
    return max(MIN_PAIRS, pairs_needed(interval, required=required)) - interval.pairs


def _outcome(interval: RatioInterval, required: float) -> Outcome:
    if interval.pairs < MIN_PAIRS:
        return Outcome.INCONCLUSIVE
    if interval.low >= required:
        return Outcome.PASSED
    return Outcome.REGRESSED if interval.high < required else Outcome.INCONCLUSIVE


def _explanation(outcome: Outcome, interval: RatioInterval, record: RatioRecord, required: float) -> tuple[str, ...]:
    facts = (
        ("speed-up", _in_words(interval)),
        ("subject", f"{time(median(record.subject_ns))}, {record.subject}"),
        ("reference", f"{time(median(record.reference_ns))}, {record.reference}"),
        ("process", "one: how much another start of it would differ is not included"),
    )
    hint = "to accept this: lower by=... in the test"
    if outcome is Outcome.INCONCLUSIVE:
        more = more_pairs_needed(record, required=required, confidence=interval.confidence)
        hint = f"measure longer: about {counted(more, 'more pair')} would decide it, raise --diffopt-max-seconds"
    return explain(
        f"{_speed(outcome, interval)} as fast as the reference (at least {factor(required)} required)",
        facts=in_columns(facts),
        seen=f"{timed_on(record.subject, record.subject.device)}, both timed interleaved in one process",
        hint=hint,
    )


def _speed(outcome: Outcome, interval: RatioInterval) -> str:
    if outcome is Outcome.REGRESSED:
        return f"only {factor(interval.ratio)}"
    why = "too few pairs" if interval.pairs < MIN_PAIRS else "too noisy"
    return f"{why} to decide: {factor(interval.low)} to {factor(interval.high)}"


def _in_words(interval: RatioInterval) -> str:
    span = f"{percent(interval.confidence)} confidence interval {factor(interval.low)} to {factor(interval.high)}"
    alike = interval.effective_pairs < interval.pairs - 1
    worth = f", worth {interval.effective_pairs:.0f} independent ones" if alike else ""
    return f"{factor(interval.ratio)}, {span}, from {counted(interval.pairs, 'pair')}{worth}"
