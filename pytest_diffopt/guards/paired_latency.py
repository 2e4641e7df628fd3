"""Judge whether head is slower than base, each timed in its own process on the same machine."""

import math
from dataclasses import dataclass

from pytest_diffopt.guards.changed_counts import cause
from pytest_diffopt.guards.comparison import MEASURE_LONGER, is_change, speed_change, undecided
from pytest_diffopt.guards.failure_text import change, counted, explain, in_columns, percent, time
from pytest_diffopt.guards.gpu_state import gpu_rows, why_gpu_unfit
from pytest_diffopt.guards.host_time import time_of, timed_on
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Environment, PairedBlock, PairedRecord, PairedTiming
from pytest_diffopt.statistics.intervals import median
from pytest_diffopt.statistics.robust_ratio import log_ratios_of, noise_of_pair
from pytest_diffopt.statistics.sequential import FEWEST_PAIRS_OF_A_CHANGE, Decision, RatioBound, SequentialRule

#: The probability that any test of a session fails although none is slower by more than half of the margin.
FALSE_ALARMS = 0.001
#: What is added to an estimated budget.
_RESERVE = 1.2
_HOW = {
    PairedTiming.INTERLEAVED: "interleaved in two processes",
    PairedTiming.CONCURRENT: "concurrently in two processes on one core",
}
_OUTCOMES = {
    Decision.OPEN: Outcome.INCONCLUSIVE,
    Decision.SLOWER: Outcome.REGRESSED,
    Decision.FASTER: Outcome.IMPROVED,
    Decision.NOT_SLOWER: Outcome.PASSED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedRule:
    """When a difference between base and head counts.

    Attributes:
        sequential: the sequential test that decides from the times.
    """

    sequential: SequentialRule

    @classmethod
    def for_case(cls, *, margin: float, num_cases: int, num_regressed: int) -> "PairedRule":
        """Return the rule for a look at one test of a session, by Holm's method in the order of the decisions.

        In Holm's method each rejection raises the significance level of the other tests. In the order of the decisions
        instead of the order of the p-values it never rejects more tests, and its error rate is not higher: all
        rejections before the first false alarm are correct, so until then the level of each look is at most that for
        the number of tests that are not slower, and these levels add up to the session's.

        Args:
            margin: the allowed slowdown, as a fraction.
            num_cases: the number of tests that this session compares.
            num_regressed: the number of them that have failed so far.
        """
        false_alarms = FALSE_ALARMS / max(1, num_cases - num_regressed)
        return cls(sequential=SequentialRule(margin=margin, false_alarms=false_alarms))

    @property
    def margin(self) -> float:
        """The allowed slowdown, as a fraction."""
        return self.sequential.margin

    def bound(self, record: PairedRecord) -> RatioBound:
        """Bound the logarithm of head's time over base's; the record has at least one block."""
        return self.sequential.bound(log_ratios_of(record.blocks, blocks_of_pairs=record.blocks_of_pairs))

    def outcome(self, record: PairedRecord) -> Outcome:
        """Return the outcome: slower than the margin, not slower, faster, or undecided."""
        log_ratios = log_ratios_of(record.blocks, blocks_of_pairs=record.blocks_of_pairs)
        if not log_ratios:
            return Outcome.INCONCLUSIVE
        return _OUTCOMES[self.sequential.decide_one(log_ratios)]


def log_ratio(block: PairedBlock) -> float:
    """Return the logarithm of head's time over base's; steady drift within the block cancels."""
    return (math.log(block.head_ns[0] / block.base_ns[0]) + math.log(block.head_ns[1] / block.base_ns[1])) / 2


def judge_paired(record: PairedRecord, rule: PairedRule, *, environment: Environment) -> Verdict:
    """Judge whether head is slower than base: decided once the whole interval is on one side of the margin.

    Args:
        record: the timed blocks.
        rule: decides when a difference counts.
        environment: the machine and versions of head.
    """
    if record.lacking:
        return _lacking(record)
    if unfit := _why_unfit(record):
        return _undecided(record, environment, headline=unfit, hint="rerun on an idle GPU that has cooled down")
    if not record.blocks:
        headline = "no block was timed within the budget: nothing was compared"
        return _undecided(record, environment, headline=headline, hint=MEASURE_LONGER)
    bound, outcome = rule.bound(record), rule.outcome(record)
    return Verdict(
        concern=Concern.LATENCY,
        outcome=outcome,
        subject=record.subject,
        summary=f"{_figure(record)} ({_interval(bound)} against {record.base})",
        explanation=() if outcome is Outcome.PASSED else _explanation(outcome, bound, record, rule, environment),
        figures={
            "relative_change": math.expm1(bound.log_ratio),
            "relative_change_low": math.expm1(bound.low),
            "relative_change_high": math.expm1(bound.high),
            "margin": rule.margin,
            "confidence": bound.confidence,
            "process_pairs": bound.pairs,
            "process_pair_deviation": bound.deviation,
            "blocks": len(record.blocks),
        },
    )


def _why_unfit(record: PairedRecord) -> str:
    return why_gpu_unfit(
        record.gpu, num_counted=len(record.blocks), num_throttled=len(record.throttled_blocks), noun="block"
    )


def _lacking(record: PairedRecord) -> Verdict:
    version = record.base if record.lacking == "base" else record.head
    headline = f"this test does not exist at {version}"
    return Verdict(
        concern=Concern.LATENCY,
        outcome=Outcome.INCOMPARABLE,
        subject=record.subject,
        summary=headline,
        explanation=explain(f"{headline}: nothing was compared", hint="a new test is compared from the next change on"),
    )


def _undecided(record: PairedRecord, environment: Environment, *, headline: str, hint: str) -> Verdict:
    facts, seen = in_columns(_gpu_rows(record)), _timed_on(record, environment)
    return undecided(Concern.LATENCY, record.subject, headline, facts=facts, seen=seen, hint=hint)


def _explanation(
    outcome: Outcome, bound: RatioBound, record: PairedRecord, rule: PairedRule, environment: Environment
) -> tuple[str, ...]:
    why_interleaved = record.why_interleaved if outcome is Outcome.INCONCLUSIVE else ""
    facts = (
        ("change", f"{_interval(bound)}{_confidence(bound)}, {_blocks(record)}"),
        *_spread_row(bound),
        ("head", f"{_call(record, head=True)} per call, {record.head}"),
        ("base", f"{_call(record, head=False)} per call, {record.base}"),
        *((("interleaved", why_interleaved),) if why_interleaved else ()),
        *_gpu_rows(record),
    )
    return explain(
        _headline(outcome, bound, record, rule),
        facts=(*in_columns(facts), *_cause(outcome, record)),
        seen=f"{_timed_on(record, environment)}, {record.subject}",
        hint=_hint(outcome, bound, record, rule),
    )


def _headline(outcome: Outcome, bound: RatioBound, record: PairedRecord, rule: PairedRule) -> str:
    allowed = f"({percent(rule.margin)} allowed)"
    if is_change(outcome):
        return f"{speed_change(outcome, math.expm1(bound.log_ratio))} than at {record.base} {allowed}"
    why = "too few pairs of processes" if bound.pairs < FEWEST_PAIRS_OF_A_CHANGE else "too noisy"
    return f"{why} to compare with {record.base}: {_interval(bound)} {allowed}"


def _cause(outcome: Outcome, record: PairedRecord) -> tuple[str, ...]:
    """Return the counts that changed, the likely cause of another time."""
    if not is_change(outcome):
        return ()
    return cause(record.base_counts, record.head_counts, why_not=record.why_not_counted)


def _hint(outcome: Outcome, bound: RatioBound, record: PairedRecord, rule: PairedRule) -> str:
    if outcome is Outcome.REGRESSED:
        return "to accept this: raise --diffopt-margin, or merge the change: later changes are compared with it"
    return "" if outcome is Outcome.IMPROVED else _more_seconds(record, rule, bound)


def _more_seconds(record: PairedRecord, rule: PairedRule, bound: RatioBound) -> str:
    if not math.isfinite(bound.deviation):
        return MEASURE_LONGER
    pairs = rule.sequential.pairs_to_decide(bound)
    if pairs is not None:
        budget = _budget(record.spent_seconds * pairs / bound.pairs)
        return f"measure longer: {pairs} pairs of processes would decide it, {budget}"
    times = _times_longer(record, rule, bound)
    if not math.isfinite(times):
        return "measuring longer cannot distinguish this from two processes of the same code: raise --diffopt-margin"
    return (
        f"measure longer: more times of each pair of processes would decide it, {_budget(record.spent_seconds * times)}"
    )


def _times_longer(record: PairedRecord, rule: PairedRule, bound: RatioBound) -> float:
    """Return by which factor each pair of processes must be timed longer; infinite if its noise is not what matters."""
    noise = noise_of_pair(record.blocks, blocks_of_pairs=record.blocks_of_pairs)
    between = max(0.0, bound.deviation**2 - noise**2)
    left = rule.sequential.deviation_to_decide(bound.log_ratio) ** 2 - between
    return rule.sequential.looks[-1] / bound.pairs * noise**2 / left if left > 0 else math.inf


def _budget(seconds: float) -> str:
    return f"--diffopt-max-seconds {math.ceil(max(1.0, seconds) * _RESERVE)}"


def _spread_row(bound: RatioBound) -> tuple[tuple[str, str], ...]:
    """Return how much the pairs of processes differ, which measuring each of them longer cannot reduce."""
    if not math.isfinite(bound.deviation):
        return ()
    return (("spread", f"pairs of processes differ by {100 * bound.deviation:.2g} %, one standard deviation"),)


def _interval(bound: RatioBound) -> str:
    if not math.isfinite(bound.half_width):
        return f"{change(math.expm1(bound.log_ratio))}, not bounded by one pair"
    low, high = change(math.expm1(bound.low)), change(math.expm1(bound.high))
    return f"{change(math.expm1(bound.log_ratio))}, between {low} and {high}"


def _confidence(bound: RatioBound) -> str:
    return f" at {100 * bound.confidence:.6g} % confidence" if math.isfinite(bound.half_width) else ""


def _blocks(record: PairedRecord) -> str:
    pairs = counted(sum(map(bool, record.blocks_of_pairs)), "pair")
    return f"{counted(len(record.blocks), 'block')} of {counted(4 * record.repeats, 'call')} by {pairs} of processes"


def _call_ns(record: PairedRecord, *, head: bool) -> float:
    times = [time_ns for block in record.blocks for time_ns in (block.head_ns if head else block.base_ns)]
    return median(times) / record.repeats


def _call(record: PairedRecord, *, head: bool) -> str:
    """Write the time of a call; concurrent calls share a core, so only their CPU time is meaningful."""
    call = time(_call_ns(record, head=head))
    return f"{call} of CPU time" if record.timing is PairedTiming.CONCURRENT else time_of(record.subject, call)


def _figure(record: PairedRecord) -> str:
    if record.timing is PairedTiming.CONCURRENT or not record.num_steps:
        return _call(record, head=True)
    return f"{_call(record, head=True)}, {1e9 * record.num_steps / _call_ns(record, head=True):.1f} steps/s"


def _timed_on(record: PairedRecord, environment: Environment) -> str:
    return f"{timed_on(record.subject, environment.device_name)}, both timed {_HOW[record.timing]}"


def _gpu_rows(record: PairedRecord) -> tuple[tuple[str, str], ...]:
    return gpu_rows(
        record.gpu, num_counted=len(record.blocks), num_throttled=len(record.throttled_blocks), noun="block"
    )
