"""Judge whether head is slower than base, each timed in its own process on the same machine."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_diffopt.guards.changed_counts import cause
from pytest_diffopt.guards.comparison import MEASURE_LONGER, is_change, speed_change, undecided
from pytest_diffopt.guards.failure_text import change, counted, explain, in_columns, percent, time
from pytest_diffopt.guards.gpu_state import gpu_rows, why_gpu_unfit
from pytest_diffopt.guards.host_time import time_of, timed_on
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Device, Environment, PairedBlock, PairedRecord, PairedTiming
from pytest_diffopt.statistics.intervals import MeanBound, median, values_needed
from pytest_diffopt.statistics.robust_ratio import logs_of, robust_ratio
from pytest_diffopt.statistics.sequential import (
    Decision,
    SequentialRule,
    between_process_deviation,
    effective_processes,
    is_look,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

#: The probability that any test of a session fails although none is slower by more than half of the margin.
FALSE_ALARMS = 0.001
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
    def for_case(
        cls, *, margin: float, num_cases: int, num_regressed: int, timing: PairedTiming, device: Device
    ) -> "PairedRule":
        """Return the rule for the next test of a session, by Holm's method in the order of the tests.

        In Holm's method each rejection raises the significance level of the next test. In the order of the tests
        instead of the order of their p-values it never rejects more tests, and its error rate is not higher: all
        rejections before the first false alarm are correct, so at least as many tests as the divisor could still raise
        one.

        Args:
            margin: the allowed slowdown, as a fraction.
            num_cases: the number of tests that this session compares.
            num_regressed: the number of them that have failed so far.
            timing: how base and head are timed.
            device: where they run.
        """
        false_alarms = FALSE_ALARMS / max(1, num_cases - num_regressed)
        apart = between_process_deviation(timing, device)
        return cls(sequential=SequentialRule(margin=margin, false_alarms=false_alarms, between_process_deviation=apart))

    @property
    def margin(self) -> float:
        """The allowed slowdown, as a fraction."""
        return self.sequential.margin

    @property
    def confidence(self) -> float:
        """The confidence of the interval that is shown, as a fraction."""
        return self.sequential.confidence

    def bound(self, blocks: Sequence[PairedBlock], *, blocks_of_pairs: Sequence[int]) -> MeanBound:
        """Bound the logarithm of head's time over base's.

        Args:
            blocks: the timed blocks.
            blocks_of_pairs: the number of blocks of each pair of processes.
        """
        seen = robust_ratio(*_sides(blocks))
        return MeanBound(
            mean=float(seen.log_ratio[0]),
            half_width=float(self.sequential.half_width(seen, effective_processes(blocks_of_pairs))[0]),
            confidence=self.confidence,
            count=seen.count,
            deviation=float(seen.deviation[0]),
        )

    def outcome(self, blocks: Sequence[PairedBlock], *, blocks_of_pairs: Sequence[int]) -> Outcome:
        """Return the outcome: slower than the margin, not slower, faster, or undecided.

        Args:
            blocks: the timed blocks.
            blocks_of_pairs: the number of blocks of each pair of processes.
        """
        if not blocks:
            return Outcome.INCONCLUSIVE
        decisions = self.sequential.decide(*_sides(blocks), blocks_of_pairs=blocks_of_pairs)
        return _OUTCOMES[Decision(int(decisions[0]))]

    def is_decided(self, blocks: Sequence[PairedBlock], *, blocks_of_pairs: Sequence[int]) -> bool:
        """Return whether the outcome is decided, so that further blocks are not needed."""
        if not is_look(len(blocks)):
            return False
        return self.outcome(blocks, blocks_of_pairs=blocks_of_pairs) is not Outcome.INCONCLUSIVE


def _sides(blocks: Sequence[PairedBlock]) -> "tuple[Array, Array]":
    """Return the logarithms of base's times and of head's, each with shape (1, blocks)."""
    logs = logs_of(blocks)
    return logs[None, :, 0], logs[None, :, 1]


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
        return _undecided(record, environment, headline=headline, hint=_more_seconds(record, rule, None))
    bound = rule.bound(record.blocks, blocks_of_pairs=record.blocks_of_pairs)
    outcome = rule.outcome(record.blocks, blocks_of_pairs=record.blocks_of_pairs)
    return Verdict(
        concern=Concern.LATENCY,
        outcome=outcome,
        subject=record.subject,
        summary=f"{_figure(record)} ({_interval(bound)} against {record.base})",
        explanation=() if outcome is Outcome.PASSED else _explanation(outcome, bound, record, rule, environment),
        figures={
            "relative_change": math.expm1(bound.mean),
            "relative_change_low": math.expm1(bound.low),
            "relative_change_high": math.expm1(bound.high),
            "margin": rule.margin,
            "confidence": rule.confidence,
            "blocks": bound.count,
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
    outcome: Outcome, bound: MeanBound, record: PairedRecord, rule: PairedRule, environment: Environment
) -> tuple[str, ...]:
    why_interleaved = record.why_interleaved if outcome is Outcome.INCONCLUSIVE else ""
    facts = (
        ("change", f"{_interval(bound)} at {100 * rule.confidence:.6g} % confidence, {_blocks(record)}"),
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


def _headline(outcome: Outcome, bound: MeanBound, record: PairedRecord, rule: PairedRule) -> str:
    allowed = f"({percent(rule.margin)} allowed)"
    if is_change(outcome):
        return f"{speed_change(outcome, math.expm1(bound.mean))} than at {record.base} {allowed}"
    return f"too noisy to compare with {record.base}: {_interval(bound)} {allowed}"


def _cause(outcome: Outcome, record: PairedRecord) -> tuple[str, ...]:
    """Return the counts that changed, the likely cause of another time."""
    if not is_change(outcome):
        return ()
    return cause(record.base_counts, record.head_counts, why_not=record.why_not_counted)


def _hint(outcome: Outcome, bound: MeanBound, record: PairedRecord, rule: PairedRule) -> str:
    if outcome is Outcome.REGRESSED:
        return "to accept this: raise --diffopt-margin, or merge the change: later changes are compared with it"
    return "" if outcome is Outcome.IMPROVED else _more_seconds(record, rule, bound)


def _more_seconds(record: PairedRecord, rule: PairedRule, bound: MeanBound | None) -> str:
    if bound is None or not math.isfinite(bound.deviation):
        return MEASURE_LONGER
    distance, confidence = rule.sequential.distance_to_decide(bound.mean)
    if not distance:
        return "measuring longer cannot distinguish this from two processes of the same code: raise --diffopt-margin"
    pairs = values_needed(bound.deviation, distance=distance, confidence=confidence)
    seconds = max(1.0, record.spent_seconds / len(record.blocks) * pairs / 2)
    return f"measure longer: about {seconds:.0f} s would decide it, --diffopt-max-seconds {math.ceil(seconds * 1.2)}"


def _interval(bound: MeanBound) -> str:
    if not math.isfinite(bound.half_width):
        return (
            f"{change(math.expm1(bound.mean))}, too few blocks to bound it at {100 * bound.confidence:.6g} % confidence"
        )
    low, high = change(math.expm1(bound.low)), change(math.expm1(bound.high))
    return f"{change(math.expm1(bound.mean))}, between {low} and {high}"


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
