"""One thing must be so many times as fast as another, both timed in turn in this very run."""

from pytest_diffopt.guards.failure_text import counted, explain, factor, in_columns, percent, time
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, RatioRecord
from pytest_diffopt.statistics.intervals import RatioInterval, median, pairs_needed, ratio_interval

#: Fewer pairs than this say nothing: their own spread is not known well enough to trust an interval made from it.
MIN_PAIRS = 6
CONFIDENCE = 0.99


def judge_ratio(record: RatioRecord, *, demanded: float, confidence: float = CONFIDENCE) -> Verdict:
    """Compare the whole confidence interval of the speed-up with the factor that a test demands.

    Args:
        record: samples of both, in pairs.
        demanded: how many times as fast as the reference the subject must be; 1.2 is 20 % more calls in the same time.
        confidence: how sure to be, as a fraction.
    """
    interval = ratio_interval(record.reference_ns, record.subject_ns, confidence=confidence)
    outcome = _outcome(interval, demanded)
    return Verdict(
        concern=Concern.LATENCY,
        outcome=outcome,
        subject=record.subject,
        summary=f"{factor(interval.ratio)} as fast as the reference (at least {factor(demanded)} demanded)",
        explanation=() if outcome is Outcome.PASSED else _explanation(outcome, interval, record, demanded),
        figures={
            "speed_up": interval.ratio,
            "speed_up_low": interval.low,
            "speed_up_high": interval.high,
            "demanded_speed_up": demanded,
        },
    )


def more_pairs_needed(record: RatioRecord, *, demanded: float, confidence: float = CONFIDENCE) -> int:
    """Foretell how many pairs a fresh measurement needs beyond those of the record; 0 when these have decided.

    Args:
        record: samples of both, in pairs.
        demanded: the speed-up that a test demands.
        confidence: how sure to be, as a fraction.
    """
    interval = ratio_interval(record.reference_ns, record.subject_ns, confidence=confidence)
    if _outcome(interval, demanded) is not Outcome.INCONCLUSIVE:
        return 0
    return max(MIN_PAIRS, pairs_needed(interval, demanded=demanded)) - interval.pairs


def _outcome(interval: RatioInterval, demanded: float) -> Outcome:
    if interval.pairs < MIN_PAIRS:
        return Outcome.INCONCLUSIVE
    if interval.low >= demanded:
        return Outcome.PASSED
    return Outcome.REGRESSED if interval.high < demanded else Outcome.INCONCLUSIVE


def _explanation(outcome: Outcome, interval: RatioInterval, record: RatioRecord, demanded: float) -> tuple[str, ...]:
    facts = (
        ("speed-up", _in_words(interval)),
        ("subject", f"{time(median(record.subject_ns))}, {record.subject}"),
        ("reference", f"{time(median(record.reference_ns))}, {record.reference}"),
    )
    hint = "if this is fast enough: demand less of it in the test"
    if outcome is Outcome.INCONCLUSIVE:
        more = more_pairs_needed(record, demanded=demanded, confidence=interval.confidence)
        hint = f"give it more time: about {counted(more, 'more pair')} would decide it, --diffopt-max-seconds"
    return explain(
        f"{_speed(outcome, interval)} as fast as the reference (at least {factor(demanded)} demanded)",
        facts=in_columns(facts),
        seen=f"on {record.subject.device}, both timed in turn in this session",
        hint=hint,
    )


def _speed(outcome: Outcome, interval: RatioInterval) -> str:
    if outcome is Outcome.REGRESSED:
        return f"only {factor(interval.ratio)}"
    why = "too few pairs" if interval.pairs < MIN_PAIRS else "too noisy"
    return f"{why} to say: {factor(interval.low)} to {factor(interval.high)}"


def _in_words(interval: RatioInterval) -> str:
    span = f"{percent(interval.confidence)} confidence interval {factor(interval.low)} to {factor(interval.high)}"
    return f"{factor(interval.ratio)}, {span}, from {counted(interval.pairs, 'pair')}"
