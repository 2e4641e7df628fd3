"""Head may not be slower than base, both timed by two processes on one machine."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_diffopt.guards.changed_counts import cause
from pytest_diffopt.guards.failure_text import change, counted, explain, in_columns, percent, time
from pytest_diffopt.guards.gpu_state import gpu_rows, why_gpu_unfit
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Device, Environment, PairedBlock, PairedRecord, PairedTiming
from pytest_diffopt.statistics.intervals import MeanBound, median, values_needed
from pytest_diffopt.statistics.robust_ratio import logs_of, robust_ratio
from pytest_diffopt.statistics.sequential import (
    Decision,
    SequentialRule,
    as_many_processes,
    is_look,
    processes_differ_by,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

#: The probability that any test of a session is called slower though none is slower than half of the margin.
FALSE_ALARMS = 0.001
_HOW = {
    PairedTiming.INTERLEAVED: "in turn by two processes",
    PairedTiming.CONCURRENT: "side by side by two processes on one core",
}
_OUTCOMES = {
    Decision.OPEN: Outcome.INCONCLUSIVE,
    Decision.SLOWER: Outcome.REGRESSED,
    Decision.FASTER: Outcome.IMPROVED,
    Decision.NOT_SLOWER: Outcome.PASSED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedRule:
    """What a difference between base and head must be to count.

    Attributes:
        sequential: decides from the times.
    """

    sequential: SequentialRule

    @classmethod
    def for_case(
        cls, *, margin: float, num_cases: int, num_regressed: int, timing: PairedTiming, device: Device
    ) -> "PairedRule":
        """Return the rule for the next test of a session, by Holm's method in the order of the tests.

        Holm lets each rejection raise the level of the next. Taken in the order of the tests instead of that of their
        p-values it rejects no more, and errs no more often: before the first false alarm all rejections were right, so
        at least as many tests as it divides by could still raise one.

        Args:
            margin: the slowdown that is allowed, as a fraction.
            num_cases: how many tests this session compares.
            num_regressed: how many of them it has called slower so far.
            timing: how base and head are timed.
            device: where they run.
        """
        false_alarms = FALSE_ALARMS / max(1, num_cases - num_regressed)
        apart = processes_differ_by(timing, device)
        return cls(sequential=SequentialRule(margin=margin, false_alarms=false_alarms, processes_differ_by=apart))

    @property
    def margin(self) -> float:
        """The slowdown that is allowed, as a fraction."""
        return self.sequential.margin

    @property
    def confidence(self) -> float:
        """Of the interval that is shown."""
        return self.sequential.confidence

    def bound(self, blocks: Sequence[PairedBlock], *, blocks_of_pairs: Sequence[int]) -> MeanBound:
        """Bound the logarithm of how many times as long head takes as base.

        Args:
            blocks: what was timed.
            blocks_of_pairs: how many of them each pair of processes timed.
        """
        seen = robust_ratio(*_sides(blocks))
        return MeanBound(
            mean=float(seen.log_ratio[0]),
            half_width=float(self.sequential.half_width(seen, as_many_processes(blocks_of_pairs))[0]),
            confidence=self.confidence,
            count=seen.count,
            deviation=float(seen.deviation[0]),
        )

    def outcome(self, blocks: Sequence[PairedBlock], *, blocks_of_pairs: Sequence[int]) -> Outcome:
        """Say what blocks prove: slower than the margin, not slower, faster, or nothing yet.

        Args:
            blocks: what was timed.
            blocks_of_pairs: how many of them each pair of processes timed.
        """
        if not blocks:
            return Outcome.INCONCLUSIVE
        decisions = self.sequential.decide(*_sides(blocks), blocks_of_pairs=blocks_of_pairs)
        return _OUTCOMES[Decision(int(decisions[0]))]

    def is_decided(self, blocks: Sequence[PairedBlock], *, blocks_of_pairs: Sequence[int]) -> bool:
        """Tell whether more blocks would change nothing."""
        if not is_look(len(blocks)):
            return False
        return self.outcome(blocks, blocks_of_pairs=blocks_of_pairs) is not Outcome.INCONCLUSIVE


def _sides(blocks: Sequence[PairedBlock]) -> "tuple[Array, Array]":
    """Return one session's logarithms of base's times, and of head's."""
    logs = logs_of(blocks)
    return logs[None, :, 0], logs[None, :, 1]


def log_ratio(block: PairedBlock) -> float:
    """Return the logarithm of head's time over base's; what drifts steadily within the block cancels."""
    return (math.log(block.head_ns[0] / block.base_ns[0]) + math.log(block.head_ns[1] / block.base_ns[1])) / 2


def judge_paired(record: PairedRecord, rule: PairedRule, *, environment: Environment) -> Verdict:
    """Say whether head is slower than base, as soon as the whole interval is on one side of the margin.

    Args:
        record: what was timed.
        rule: what counts.
        environment: the machine and versions of head.
    """
    if record.lacking:
        return _lacking(record)
    if unfit := _why_unfit(record):
        return _undecided(record, environment, headline=unfit, hint="run it again on a GPU that nobody else uses")
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
    return Verdict(
        concern=Concern.LATENCY,
        outcome=Outcome.INCOMPARABLE,
        subject=record.subject,
        summary=f"{version} has no such test",
        explanation=explain(
            f"{version} has no such test: nothing was compared",
            hint="a new test is compared from the next change on",
        ),
    )


def _undecided(record: PairedRecord, environment: Environment, *, headline: str, hint: str) -> Verdict:
    return Verdict(
        concern=Concern.LATENCY,
        outcome=Outcome.INCONCLUSIVE,
        subject=record.subject,
        summary=headline,
        explanation=explain(headline, facts=in_columns(_gpu_rows(record)), seen=_seen(record, environment), hint=hint),
    )


def _explanation(
    outcome: Outcome, bound: MeanBound, record: PairedRecord, rule: PairedRule, environment: Environment
) -> tuple[str, ...]:
    facts = (
        ("change", f"{_interval(bound)} at {100 * rule.confidence:.6g} % confidence, {_blocks(record)}"),
        ("head", f"{_call(record, head=True)} a call, {record.head}"),
        ("base", f"{_call(record, head=False)} a call, {record.base}"),
        *((("in turn", record.why_interleaved),) if outcome is Outcome.INCONCLUSIVE and record.why_interleaved else ()),
        *_gpu_rows(record),
    )
    return explain(
        _headline(outcome, bound, record, rule),
        facts=(*in_columns(facts), *_cause(outcome, record)),
        seen=_seen(record, environment),
        hint=_hint(outcome, bound, record, rule),
    )


def _headline(outcome: Outcome, bound: MeanBound, record: PairedRecord, rule: PairedRule) -> str:
    allowed = f"({percent(rule.margin)} allowed)"
    match outcome:
        case Outcome.REGRESSED:
            return f"the call became {percent(math.expm1(bound.mean))} slower than at {record.base} {allowed}"
        case Outcome.IMPROVED:
            return f"the call became {percent(-math.expm1(bound.mean))} faster than at {record.base} {allowed}"
        case _:
            return f"too noisy to say against {record.base}: {_interval(bound)} {allowed}"


def _cause(outcome: Outcome, record: PairedRecord) -> tuple[str, ...]:
    """Say what changed of what can be counted, where that was tried."""
    if outcome not in {Outcome.REGRESSED, Outcome.IMPROVED}:
        return ()
    return cause(record.base_counts, record.head_counts, why_not=record.why_not_counted)


def _hint(outcome: Outcome, bound: MeanBound, record: PairedRecord, rule: PairedRule) -> str:
    match outcome:
        case Outcome.REGRESSED:
            return "if this is wanted: allow it with --diffopt-margin, or merge it and compare from there"
        case Outcome.IMPROVED:
            return ""
        case _:
            return _more_seconds(record, rule, bound)


def _more_seconds(record: PairedRecord, rule: PairedRule, bound: MeanBound | None) -> str:
    if bound is None or not math.isfinite(bound.deviation):
        return "give it more time: --diffopt-max-seconds"
    distance, confidence = rule.sequential.distance_to_decide(bound.mean)
    if not distance:
        return "more time would not tell it from two processes of the same code: give a larger --diffopt-margin"
    pairs = values_needed(bound.deviation, distance=distance, confidence=confidence)
    seconds = max(1.0, record.spent_seconds / len(record.blocks) * pairs / 2)
    return f"give it more time: about {seconds:.0f} s would decide it, --diffopt-max-seconds {math.ceil(seconds * 1.2)}"


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
    times = [one for block in record.blocks for one in (block.head_ns if head else block.base_ns)]
    return median(times) / record.repeats


def _call(record: PairedRecord, *, head: bool) -> str:
    """Write what a call takes; side by side that is no time by the clock, as the other process has its share of it."""
    of_what = " of the processor" if record.timing is PairedTiming.CONCURRENT else ""
    return f"{time(_call_ns(record, head=head))}{of_what}"


def _figure(record: PairedRecord) -> str:
    if record.timing is PairedTiming.CONCURRENT or not record.num_steps:
        return _call(record, head=True)
    return f"{_call(record, head=True)}, {1e9 * record.num_steps / _call_ns(record, head=True):.1f} steps/s"


def _seen(record: PairedRecord, environment: Environment) -> str:
    return f"on {environment.device_name}, both timed {_HOW[record.timing]}, {record.subject}"


def _gpu_rows(record: PairedRecord) -> tuple[tuple[str, str], ...]:
    return gpu_rows(
        record.gpu, num_counted=len(record.blocks), num_throttled=len(record.throttled_blocks), noun="block"
    )
