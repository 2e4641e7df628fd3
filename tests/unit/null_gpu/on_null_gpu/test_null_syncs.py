"""Host-device synchronization: what blocks, and on which line."""

import inspect
import threading
from collections.abc import Callable

import pytest
import torch

from pytest_diffopt.null_gpu.counters import TallyKind, counting
from pytest_diffopt.null_gpu.sync_lines import Sync, recording_syncs

LARGE, SMALL = torch.ones(2**20), torch.ones(4)
STREAM = "cudaStreamSynchronize"
FROM_PAGEABLE, TO_PAGEABLE = "cudaMemcpyAsync from pageable memory", "cudaMemcpyAsync to pageable memory"


def syncs_of(action: Callable[[], object]) -> list[Sync]:
    """Record the syncs of an action; the counters agree."""
    seen: list[Sync] = []
    with counting() as phase, recording_syncs(seen.append):
        action()
    assert phase.counts.total(TallyKind.SYNC) == len(seen)
    return seen


@pytest.fixture
def tensor() -> torch.Tensor:
    """A tensor on the GPU."""
    return torch.ones(4, 4, device="cuda")


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (lambda x: x.sum().item(), [STREAM]),
        (lambda x: bool(x.sum() > 0), [STREAM]),
        (lambda x: x.cpu(), [TO_PAGEABLE]),
        (lambda x: x.tolist(), [TO_PAGEABLE]),
        (lambda x: x.nonzero(), [STREAM]),
        (lambda _: torch.cuda.synchronize(), ["cudaDeviceSynchronize"]),
        (lambda _: SMALL.to("cuda"), [STREAM]),
        (lambda _: LARGE.to("cuda"), [FROM_PAGEABLE]),
        (lambda _: LARGE.to("cuda", non_blocking=True), [FROM_PAGEABLE]),
        (lambda _: SMALL.to("cuda", non_blocking=True), []),
        (lambda x: x.to("cpu", non_blocking=True), []),
        (lambda x: (x + 1, x @ x, x.softmax(-1)), []),
    ],
)
def test_what_blocks(tensor: torch.Tensor, action: Callable[[torch.Tensor], object], expected: list[str]) -> None:
    """Each action blocks as on a GPU, and is counted once."""
    assert [sync.api for sync in syncs_of(lambda: action(tensor))] == expected


def test_pinned_upload_does_not_block() -> None:
    """Memory that is pinned is copied while the host goes on."""
    pinned = LARGE.pin_memory()

    assert syncs_of(lambda: pinned.to("cuda", non_blocking=True)) == []


def test_line_is_that_of_the_caller(tensor: torch.Tensor) -> None:
    """File and number, through torch's own frames."""
    first = inspect.currentframe()
    assert first is not None
    seen: list[Sync] = []
    with recording_syncs(seen.append):
        number = first.f_lineno + 1
        tensor.tolist()

    line = seen[0].line
    assert line is not None
    assert (line.file, line.number) == (__file__, number)


def test_sync_on_another_thread(tensor: torch.Tensor) -> None:
    """A thread of Python has its own line."""

    def read() -> None:
        tensor.sum().item()

    def run() -> None:
        thread = threading.Thread(target=read, name="reader")
        thread.start()
        thread.join()

    (sync,) = syncs_of(run)

    assert (sync.thread, sync.line.function if sync.line else "") == ("reader", "read")


class _Reading(torch.autograd.Function):
    @staticmethod
    def forward(_: object, value: torch.Tensor) -> torch.Tensor:
        return value * 2

    @staticmethod
    def backward(_: object, gradient: torch.Tensor) -> torch.Tensor:
        gradient.sum().item()
        return gradient


def test_sync_on_backwards_thread() -> None:
    """The thread of autograd, which torch starts, is seen."""
    leaf = torch.ones(3, device="cuda", requires_grad=True)
    syncs = syncs_of(lambda: _Reading.apply(leaf).sum().backward())  # type: ignore[no-untyped-call]

    assert [sync.line.function if sync.line else "" for sync in syncs] == ["backward"]


def test_event(tensor: torch.Tensor) -> None:
    """Waiting for an event blocks; elapsed time is the host's and not negative."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    tensor.add_(1)
    end.record()
    seen = syncs_of(end.synchronize)

    assert [sync.api for sync in seen] == ["cudaEventSynchronize"]
    assert start.elapsed_time(end) > 0


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype feature:UserWarning")
def test_torchs_sync_debug_mode(tensor: torch.Tensor) -> None:
    """Torch's own warning appears, as on a GPU."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="called a synchronizing CUDA operation"):
            tensor.sum().item()
    finally:
        torch.cuda.set_sync_debug_mode("default")
