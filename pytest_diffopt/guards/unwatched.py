"""The verdict on a record without evidence: nothing ran where the probe watched, so nothing may pass."""

from collections.abc import Sequence

from pytest_diffopt.guards.failure_text import explain
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, Subject


def unwatched(concern: Concern, subject: Subject, operations: Sequence[int], *, seen_by: str) -> Verdict | None:
    """Return the verdict `UNWATCHED` if a step, or the whole call, ran no operation on the watched device.

    Args:
        concern: the concern of the guard.
        subject: what was called.
        operations: the number of operations of each step on the watched device; one entry for a call without a loop.
        seen_by: the watched device, for messages.

    Returns:
        The verdict; None if every step ran operations.
    """
    empty = [number for number, count in enumerate(operations) if not count]
    if not empty:
        return None
    what = "the call" if len(operations) == 1 else _steps(empty, len(operations))
    headline = f"no operation of {what} ran on {seen_by}: nothing was watched"
    return Verdict(
        concern=concern,
        outcome=Outcome.UNWATCHED,
        subject=subject,
        summary=headline,
        explanation=explain(
            headline,
            ["operations per step: " + ", ".join(map(str, operations))] if any(operations) else [],
            seen=f"in {subject}",
            hint="the call must compute on the device of its pipeline: pass its tensors as arguments instead of "
            "holding them elsewhere, and do not move the models or latents to a fixed device",
        ),
        figures={"operations": sum(operations), "unwatched_steps": len(empty)},
    )


def _steps(empty: Sequence[int], number: int) -> str:
    if len(empty) == number:
        return "the denoise loop"
    return f"denoise step{'s' if len(empty) > 1 else ''} {', '.join(map(str, empty))}"
