"""Judge the live memory between calls: a repeated call may not leave more than before."""

from itertools import pairwise

from pytest_diffopt.guards.failure_text import allowed, counted, explain, in_columns, size
from pytest_diffopt.guards.memory_holders import holder_lines
from pytest_diffopt.guards.unwatched import unwatched
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import CallMemory, Concern, MemoryGrowthRecord, Subject

#: What to do about memory that stays.
RELEASE = (
    "release what a call leaves: no list, hook or unbounded cache may keep its tensors; to accept this: "
    "max_growth_bytes={growth} with the reason in a comment"
)


def judge_memory_growth(record: MemoryGrowthRecord, *, max_growth_bytes: int = 0) -> Verdict:
    """Judge a record: memory that the calls in between left is a regression; a call that ran elsewhere is unwatched.

    Args:
        record: the live memory after each call.
        max_growth_bytes: the allowed growth, for a cache that is meant to keep something for each kind of call.
    """
    if nothing := next(filter(None, (_unwatched(record.subject, call) for call in record.calls)), None):
        return nothing
    growth = record.growth_bytes
    is_failure = growth > max_growth_bytes
    return Verdict(
        concern=Concern.MEMORY,
        outcome=Outcome.REGRESSED if is_failure else Outcome.PASSED,
        subject=record.subject,
        summary=_summary(record, growth),
        explanation=_explanation(record, growth, max_growth_bytes) if is_failure else (),
        figures={
            "growth_bytes": float(growth),
            "allowed_growth_bytes": float(max_growth_bytes),
            "live_bytes": float(record.calls[-1].live_bytes),
            "calls": float(len(record.calls) - 1),
        },
    )


def _unwatched(subject: Subject, call: CallMemory) -> Verdict | None:
    device = subject.device.in_words
    return unwatched(Concern.MEMORY, subject, [call.operations], seen_by=device, denoiser=call.denoiser)


def _summary(record: MemoryGrowthRecord, growth: int) -> str:
    live = size(record.calls[-1].live_bytes)
    over = f"over {counted(len(record.calls) - 1, 'call')}"
    return f"live memory {live}, {size(growth)} more {over}" if growth > 0 else f"live memory {live}, no growth {over}"


def _explanation(record: MemoryGrowthRecord, growth: int, max_growth_bytes: int) -> tuple[str, ...]:
    made = counted(len(record.calls) - 1, "call")
    grown = [(now.call, now.live_bytes - before.live_bytes) for before, now in pairwise(record.calls)]
    rows = [(f"after {name}", f"{size(more)} more") for name, more in grown if more > 0]
    return explain(
        f"live memory grew by {size(growth)} over {made} {allowed(size(max_growth_bytes))}",
        [
            f"{size(record.calls[0].live_bytes)} before, {size(record.calls[-1].live_bytes)} after the same call",
            *in_columns(rows),
            *holder_lines(record.holders, "more is held"),
        ],
        seen=f"by {record.seen_by}, {record.subject}",
        hint=RELEASE.format(growth=growth),
    )
