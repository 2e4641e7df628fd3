"""The peak is that of a warm call, and too little memory is a result. No GPU is needed: torch's part is replaced."""

import pytest
import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.memory import measure_peak_memory_cuda
from pytest_diffopt.probes.out_of_memory import DeviceMemoryError
from pytest_diffopt.records import Device, MemoryRecord, Subject

SUBJECT = Subject(pipeline="sdxl", scale="tiny", recipe="bf16", device=Device.CUDA)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the GPU by one that writes down what it was asked to do."""
    done: list[str] = []

    def step(name: str, result: int = 0) -> None:
        def write_down(*_: object) -> int:
            done.append(name)
            return result

        monkeypatch.setattr(torch.cuda, name, write_down)

    for name in ("synchronize", "empty_cache", "reset_peak_memory_stats"):
        step(name)
    step("max_memory_allocated", 1000)
    step("max_memory_reserved", 2000)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return done


def test_only_the_warm_call_is_counted(done: list[str]) -> None:
    """The peak is reset after the warm-up call and its cache, and read when the second call is over."""
    record = measure_peak_memory_cuda(lambda: done.append("call"), SUBJECT)

    assert record == MemoryRecord(
        subject=SUBJECT,
        peak_allocated_bytes=1000,
        peak_reserved_bytes=2000,
        seen_by="torch's caching allocator",
    )
    assert done == [
        "call",
        "synchronize",
        "empty_cache",
        "reset_peak_memory_stats",
        "call",
        "synchronize",
        "max_memory_allocated",
        "max_memory_reserved",
    ]


@pytest.mark.parametrize(("fails_at", "when"), [(1, "during warm-up"), (2, "after warm-up")])
def test_running_out_of_memory_is_a_result(done: list[str], fails_at: int, when: str) -> None:
    """It says in which call and how much was wanted; an unknown amount is said to be one."""

    def call() -> None:
        done.append("call")
        if done.count("call") == fails_at:
            message = "out of memory"
            raise torch.OutOfMemoryError(message)

    with pytest.raises(DeviceMemoryError) as error:
        measure_peak_memory_cuda(call, SUBJECT)

    assert error.value.when == when
    assert str(error.value).splitlines() == [
        f"out of memory {when}: {SUBJECT} wanted an unknown amount more",
        "  out of memory",
        "  run it on a larger device, at a smaller scale, or with a recipe that needs less",
    ]


def test_a_cpu_has_no_such_figure() -> None:
    """Nothing is made up where nothing can be measured."""
    with pytest.raises(ProbeError) as error:
        measure_peak_memory_cuda(lambda: None, SUBJECT, device="cpu")

    assert str(error.value) == ("peak memory can only be measured on a device with torch's caching allocator, got: cpu")
