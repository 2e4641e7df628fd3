"""Tests of measuring live memory between calls on a GPU, with the functions of `torch.cuda` replaced."""

import gc

import pytest
import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.memory_growth import measure_growth_cuda
from pytest_diffopt.probes.memory_holders import grown_holders, holders_of
from pytest_diffopt.records import CallMemory, Device, MemoryGrowthRecord, MemoryHolder, Subject
from pytest_diffopt.records.code_location import CodeLocation

SUBJECT = Subject(pipeline="sdxl", device=Device.CUDA)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the GPU by a fake that logs calls and allocates 100 bytes in each of them."""
    done: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: done.append("synchronize"))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda *_: 100 * sum("call" in one for one in done))
    return done


def test_the_first_call_is_repeated_before_and_after_the_others(done: list[str]) -> None:
    """The GPU is synchronized before each reading, and the first reading is of a warm call."""
    calls = [(name, lambda name=name: done.append(f"call {name}")) for name in ("a", "b")]
    record = measure_growth_cuda(None, calls, SUBJECT)

    assert done == [one for name in ("a", "a", "b", "a") for one in (f"call {name}", "synchronize")]
    assert record == MemoryGrowthRecord(
        subject=SUBJECT,
        calls=(
            CallMemory(call="a", live_bytes=200, operations=0),
            CallMemory(call="b", live_bytes=300, operations=0),
            CallMemory(call="a, again", live_bytes=400, operations=0),
        ),
        seen_by="torch's caching allocator",
    )
    assert record.growth_bytes == 200


def test_a_cpu_is_refused() -> None:
    """It has no caching allocator."""
    with pytest.raises(
        ProbeError, match=r"^live memory can only be measured on a device with torch's caching allocator"
    ):
        measure_growth_cuda(None, [("a", lambda: None)], SUBJECT, device="cpu")


def test_objects_that_the_user_froze_stay_frozen(done: list[str]) -> None:
    """Unfreezing them would undo what the user asked for."""
    frozen = [object()]  # the number of frozen objects falls when one of them, of an earlier test, is released
    gc.freeze()
    try:
        measure_growth_cuda(None, [("a", lambda: done.append("call"))], SUBJECT)
        assert not any(one is frozen for one in gc.get_objects())
    finally:
        gc.unfreeze()


def line(number: int) -> CodeLocation:
    """Return a line of code."""
    return CodeLocation(file="test_it.py", line=number, function="call")


def test_lines_that_grew_are_listed_with_their_growth() -> None:
    """New lines count from zero; lines that shrank or stayed are left out."""
    before = [(line(1), 500), (line(2), 300), (line(3), 100)]
    after = [(line(1), 500), (line(3), 150), (line(4), 90), (line(2), 10)]

    assert grown_holders(before, after) == (
        MemoryHolder(where=line(4), held_bytes=90),
        MemoryHolder(where=line(3), held_bytes=50),
    )


def test_only_the_largest_holders_are_kept() -> None:
    """A record has five lines."""
    assert [one.where.line for one in holders_of([(line(number), 9) for number in range(9)])] == [0, 1, 2, 3, 4]
