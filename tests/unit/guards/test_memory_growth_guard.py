"""Memory that stays after a repeated call is a regression; lower or equal memory passes."""

from dataclasses import replace

from pytest_diffopt.guards.memory_growth import judge_memory_growth
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import CallMemory, DenoiserEvidence, MemoryGrowthRecord
from tests.unit.guards.guard_examples import SEEN, SUBJECT

MIB = 1 << 20
DEVICE = SUBJECT.device.in_words


def record(*live_mib: int, operations: int = 900) -> MemoryGrowthRecord:
    """Return calls with this live memory after each."""
    return MemoryGrowthRecord(
        subject=SUBJECT,
        calls=tuple(
            CallMemory(call=f"call {number}", live_bytes=live * MIB, operations=operations)
            for number, live in enumerate(live_mib)
        ),
        seen_by="torch's caching allocator",
    )


def test_growth_fails_without_lines_where_the_device_knows_none() -> None:
    """Only calls that left memory are listed."""
    verdict = judge_memory_growth(record(100, 103, 103, 104))

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary == "live memory 104 MiB, 4.00 MiB more over 3 calls"
    assert verdict.explanation == (
        "diffopt: live memory grew by 4.00 MiB over 3 calls (0 B allowed)",
        "  100 MiB before, 104 MiB after the same call",
        "  after call 1  3.00 MiB more",
        "  after call 3  1.00 MiB more",
        f"seen by torch's caching allocator, {SEEN}",
        "release what a call leaves: no list, hook or unbounded cache may keep its tensors; to accept this: "
        f"max_growth_bytes={4 * MIB} with the reason in a comment",
    )
    assert verdict.figures == {
        "growth_bytes": 4.0 * MIB,
        "allowed_growth_bytes": 0.0,
        "live_bytes": 104.0 * MIB,
        "calls": 3.0,
    }


def test_memory_that_is_released_at_the_end_passes() -> None:
    """Only the two repetitions of the same call are compared: another call may hold a larger buffer."""
    verdict = judge_memory_growth(record(100, 140, 99))

    assert verdict.outcome is Outcome.PASSED
    assert verdict.explanation == ()
    assert verdict.summary == "live memory 99.0 MiB, no growth over 2 calls"


def test_the_allowed_growth_is_inclusive() -> None:
    """Exactly the allowed growth passes, and one byte more fails."""
    assert judge_memory_growth(record(100, 101), max_growth_bytes=MIB).outcome is Outcome.PASSED
    assert judge_memory_growth(record(100, 101), max_growth_bytes=MIB - 1).outcome is Outcome.REGRESSED


def test_calls_without_operations_are_unwatched() -> None:
    """Equal figures of a device on which nothing ran prove nothing."""
    verdict = judge_memory_growth(record(100, 100, operations=0))

    assert verdict.outcome is Outcome.UNWATCHED
    assert verdict.explanation[0] == f"diffopt: no operation of the call ran on {DEVICE}: nothing was watched"
    assert judge_memory_growth(record(100, 100, operations=3)).outcome is Outcome.PASSED


def test_one_call_whose_denoiser_ran_elsewhere_is_unwatched() -> None:
    """Whatever the others ran."""
    here = DenoiserEvidence(calls={"unet": (4,)}, operations={"unet": (800,)})
    first, second = record(100, 100).calls
    calls = replace(first, denoiser=here), replace(second, denoiser=replace(here, operations={"unet": (0,)}))
    verdict = judge_memory_growth(replace(record(100, 100), calls=calls))

    assert verdict.outcome is Outcome.UNWATCHED
    assert verdict.explanation[0] == (
        f"diffopt: no operation of the denoiser ran on {DEVICE} in the denoise loop: its operations were not watched"
    )
    assert judge_memory_growth(replace(record(100, 100), calls=(calls[0], calls[0]))).outcome is Outcome.PASSED
