"""Judge whether the same call gives the same image again."""

from pytest_diffopt.guards.failure_text import allowed, explain
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, RepeatabilityRecord

_OF_A_CALL = (
    "look for state kept between calls: an output buffer that is reused, a scheduler that is not reset, "
    "a generator that is not seeded"
)
_OF_A_PROCESS = (
    "look for what differs between processes: the order of a set, hash() and id(), a seed taken from the clock or the "
    "process ID, a file that one process writes and the other reads"
)


_OUTPUTS = {"images": "a different image", "frames": "a different video", "audio": "different audio"}


def judge_repeatability(record: RepeatabilityRecord, *, max_error: float = 0.0) -> Verdict:
    """Judge a record: any value that differs by more than `max_error` is a regression; 0 requires equal bits.

    Args:
        record: the comparison of two calls.
        max_error: the largest accepted absolute difference of any value.
    """
    is_equal = record.differing_values == 0 or (max_error > 0 and record.max_error <= max_error)
    return Verdict(
        concern=Concern.REPEATABILITY,
        outcome=Outcome.PASSED if is_equal else Outcome.REGRESSED,
        subject=record.subject,
        summary="equal bits" if not record.differing_values else f"largest difference {record.max_error:.3g}",
        explanation=() if is_equal else _explanation(record, max_error),
        figures={"differing_values": record.differing_values, "max_error": record.max_error},
    )


def _explanation(record: RepeatabilityRecord, max_error: float) -> tuple[str, ...]:
    share = record.differing_values / record.values
    which = f"the call {record.call!r}" if record.call else "the same call"
    when = "in a second process" if record.in_second_process else "the second time"
    return explain(
        f"{which} gave {_OUTPUTS[record.output]} {when}",
        [
            f"{record.differing_values} of {record.values} values differ ({share:.1%})",
            f"largest difference {record.max_error:.3g} {allowed(f'{max_error:g}')}",
        ],
        seen=f"in {record.subject}",
        hint=f"{_OF_A_PROCESS if record.in_second_process else _OF_A_CALL}; or allow a bound: max_error=...",
    )
