"""Tests of measuring peak memory on a GPU, with the functions of `torch.cuda` replaced."""

import pytest
import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.memory import measure_peak_memory_cuda
from pytest_diffopt.probes.out_of_memory import DeviceMemoryError
from pytest_diffopt.records import Device, MemoryRecord, Subject

SUBJECT = Subject(pipeline="sdxl", scale="tiny", recipe="bf16", device=Device.CUDA)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the GPU by a fake that logs every operation."""
    done: list[str] = []

    def step(name: str, result: int = 0) -> None:
        def log(*_: object) -> int:
            done.append(name)
            return result

        monkeypatch.setattr(torch.cuda, name, log)

    for name in ("synchronize", "empty_cache", "reset_peak_memory_stats"):
        step(name)
    step("memory_allocated", 400)
    step("memory_reserved", 600)
    step("max_memory_allocated", 1000)
    step("max_memory_reserved", 2000)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return done


def test_only_the_warm_call_is_measured(done: list[str]) -> None:
    """The peak is reset after the warm-up calls and after emptying the cache, and read after the third call.

    What the call reserves comes on top of what its target holds, not of what others have reserved.
    """
    record = measure_peak_memory_cuda(lambda: done.append("call"), SUBJECT)

    assert record == MemoryRecord(
        subject=SUBJECT,
        peak_allocated_bytes=1000,
        peak_reserved_bytes=400 + 2000 - 600,
        held_before_bytes=400,
        seen_by="torch's caching allocator",
        operations=0,
    )
    assert done == [
        "call",
        "call",
        "synchronize",
        "empty_cache",
        "memory_allocated",
        "memory_reserved",
        "reset_peak_memory_stats",
        "call",
        "synchronize",
        "max_memory_allocated",
        "max_memory_reserved",
    ]


@pytest.mark.parametrize(("fails_at", "when"), [(1, "during warm-up"), (3, "after warm-up")])
def test_an_out_of_memory_error_names_the_call(done: list[str], fails_at: int, when: str) -> None:
    """The message has the call and the requested size, or `an unknown amount`."""

    def call() -> None:
        done.append("call")
        if done.count("call") == fails_at:
            message = "out of memory"
            raise torch.OutOfMemoryError(message)

    with pytest.raises(DeviceMemoryError) as error:
        measure_peak_memory_cuda(call, SUBJECT)

    assert error.value.when == when
    assert str(error.value).splitlines() == [
        f"out of memory {when}: {SUBJECT} requested an unknown amount more",
        "  out of memory",
        "  run it on a larger device, at a smaller scale, or with a recipe that needs less",
    ]


def test_a_cpu_is_refused() -> None:
    """It has no caching allocator."""
    with pytest.raises(ProbeError) as error:
        measure_peak_memory_cuda(lambda: None, SUBJECT, device="cpu")

    assert str(error.value) == ("peak memory can only be measured on a device with torch's caching allocator, got: cpu")
