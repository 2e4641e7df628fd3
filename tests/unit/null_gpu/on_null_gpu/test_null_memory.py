"""Memory: torch's own allocator over memory that is reserved and not touched."""

import pytest
import torch

from pytest_diffopt._torch_private.allocation_history import allocations_recorded
from pytest_diffopt.null_gpu.counters import TallyKind, counting
from pytest_diffopt.null_gpu.values.resident_memory import resident_bytes
from pytest_diffopt.probes.memory_holders import holders_at_peak

GIB = 2**30


def test_memory_is_not_touched() -> None:
    """Sixty gigabytes are allocated and filled by a kernel, and nothing is resident."""
    before = resident_bytes()
    tensor = torch.zeros(60 * GIB, dtype=torch.uint8, device="cuda")

    assert torch.cuda.memory_allocated() >= 60 * GIB
    assert resident_bytes() - before < GIB // 4
    del tensor
    torch.cuda.empty_cache()


def test_out_of_memory_is_torchs_own() -> None:
    """At the GPU's size, with torch's message."""
    with pytest.raises(torch.OutOfMemoryError, match=r"GPU 0 has a total capacity of 139\.80 GiB of which"):
        torch.empty(150 * GIB, dtype=torch.uint8, device="cuda")


def test_memory_is_given_back() -> None:
    """What is free is what was free."""
    torch.cuda.empty_cache()
    free = torch.cuda.mem_get_info()[0]
    tensor = torch.empty(GIB, dtype=torch.uint8, device="cuda")
    less = torch.cuda.mem_get_info()[0]
    del tensor
    torch.cuda.empty_cache()

    assert free - less == GIB
    assert torch.cuda.mem_get_info()[0] == free


def test_long_copy_is_not_made_and_read_as_zero() -> None:
    """And it is counted as such."""
    host = torch.ones(8 * 2**20, dtype=torch.uint8)
    with counting() as phase:
        back = host.to("cuda").cpu()

    assert int(back.sum()) == 0
    assert phase.counts.total_bytes(TallyKind.SKIPPED_COPY) == 2 * 8 * 2**20


def test_short_copy_is_made() -> None:
    """Up and down again."""
    host = torch.arange(1000)

    assert torch.equal(host.to("cuda").cpu(), host)


def test_pinned_memory() -> None:
    """Torch sees that memory is pinned."""
    pinned = torch.ones(10).pin_memory()

    assert pinned.is_pinned()
    assert not torch.ones(10).is_pinned()
    assert torch.equal(pinned.to("cuda", non_blocking=True).cpu(), pinned)


def test_scalar_without_values_is_zero() -> None:
    """No kernel wrote it, and old bytes are not shown."""
    assert torch.full((1,), 7.0, device="cuda").item() == 0


def test_lines_of_the_peak_are_those_of_torchs_allocator() -> None:
    """The history has each allocation with its line; its peak is the allocator's own."""
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    with allocations_recorded("cuda") as history:
        kept = [torch.empty(2**20, dtype=torch.uint8, device="cuda") for _ in range(3)]
        torch.empty(2**21, dtype=torch.uint8, device="cuda")
        del kept
        torch.empty(2**20, dtype=torch.uint8, device="cuda")
    holders = holders_at_peak(history.events)

    assert [one.held_bytes for one in holders] == [3 * 2**20, 2**21]
    assert [one.where.source[:6] for one in holders] == ["kept =", "torch."]
    assert sum(one.held_bytes for one in holders) == torch.cuda.max_memory_allocated() - before


def test_history_of_the_user_goes_on() -> None:
    """Nothing is recorded beside it, and it is not ended."""
    torch.cuda.memory._record_memory_history(max_entries=100)
    try:
        with allocations_recorded("cuda") as history:
            torch.empty(2**20, dtype=torch.uint8, device="cuda")
        events = torch.cuda.memory._snapshot()["device_traces"][0]
    finally:
        torch.cuda.memory._record_memory_history(None)

    assert history.events == []
    assert 2**20 in [event["size"] for event in events if event["action"] == "alloc"]
