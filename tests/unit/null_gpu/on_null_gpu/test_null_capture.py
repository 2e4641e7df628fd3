"""CUDA graphs: what a capture prohibits, what a graph records, what a launch counts."""

import threading
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch

from pytest_diffopt.null_gpu.counters import TallyKind, counting

NOT_PERMITTED = "operation not permitted when stream is capturing"
INVALIDATED = "operation failed due to a previous error during capture"


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    """A module whose libraries are initialized: that cannot be done while a stream captures."""
    module = torch.nn.Linear(8, 8).cuda()
    with torch.no_grad():
        module(torch.ones(2, 8, device="cuda"))
    return module


@pytest.fixture
def inputs() -> torch.Tensor:
    """The module's input."""
    return torch.ones(2, 8, device="cuda")


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    """No gradients; a capture that failed at once leaves an empty graph, of which torch warns."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The CUDA Graph is empty")
        yield


def capture(body: Callable[[], object], mode: str = "global") -> torch.cuda.CUDAGraph:
    """Capture what a function does."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode=mode):
        body()
    return graph


def test_launch_counts_what_was_captured(model: torch.nn.Module, inputs: torch.Tensor) -> None:
    """Nothing runs while it is captured; each launch runs all of it."""
    with counting() as captured:
        graph = capture(lambda: model(inputs).relu())
    with counting() as launched:
        graph.replay()
        graph.replay()

    assert captured.counts.total(TallyKind.KERNEL) == captured.counts.total(TallyKind.LIBRARY_CALL) == 0
    assert launched.counts.total(TallyKind.GRAPH_LAUNCH) == 2
    assert launched.counts.total(TallyKind.GRAPH_KERNEL) == 2
    assert launched.counts.total(TallyKind.GRAPH_LIBRARY_CALL) == 2
    assert launched.counts.total(TallyKind.KERNEL) == 0


@pytest.mark.parametrize(
    "body",
    [
        lambda x: x.sum().item(),
        lambda x: x.nonzero(),
        lambda _: torch.cuda.synchronize(),
        lambda _: torch.cuda.current_stream().synchronize(),
        lambda _: torch.cuda.current_stream().query(),
    ],
)
def test_sync_is_an_error_and_invalidates_the_capture(
    inputs: torch.Tensor, body: Callable[[torch.Tensor], object]
) -> None:
    """CUDA's error at the call, and its other error where the capture ends."""
    with pytest.raises(torch.AcceleratorError) as caught:
        capture(lambda: body(inputs))
    first = caught.value.__context__

    assert INVALIDATED in str(caught.value)
    assert NOT_PERMITTED in str(first)


def test_captured_event_cannot_be_waited_for() -> None:
    """An event that was recorded in a capture is no event of the host."""

    def body() -> None:
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        event.synchronize()

    with pytest.raises(torch.AcceleratorError) as caught:
        capture(body)

    assert "operation not permitted on an event last recorded in a capturing stream" in str(caught.value.__context__)


def test_capture_after_a_failed_one(model: torch.nn.Module, inputs: torch.Tensor) -> None:
    """A failure leaves nothing behind."""
    with pytest.raises(torch.AcceleratorError):
        capture(torch.cuda.synchronize)

    capture(lambda: model(inputs)).replay()


def test_copy_from_pageable_memory_is_torchs_error() -> None:
    """Torch refuses it itself."""
    with pytest.raises(RuntimeError, match="during CUDA graph capture unless the CPU tensor is pinned"):
        capture(lambda: torch.ones(3).to("cuda"))


def test_other_stream_must_be_joined(model: torch.nn.Module, inputs: torch.Tensor) -> None:
    """Work on a second stream belongs to the graph if the first waits for it, and is an error otherwise."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def fork() -> None:
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            model(inputs)

    def fork_and_join() -> None:
        fork()
        torch.cuda.current_stream().wait_stream(side)

    with pytest.raises(torch.AcceleratorError, match="capturing stream has unjoined work"):
        capture(fork)
    graph = capture(fork_and_join)
    with counting() as phase:
        graph.replay()

    assert phase.counts.total(TallyKind.GRAPH_LIBRARY_CALL) == 1


def test_dependency_on_uncaptured_work_is_an_error() -> None:
    """A captured stream cannot wait for what is not in its graph."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(side)

    with pytest.raises(torch.AcceleratorError) as caught:
        capture(lambda: torch.cuda.current_stream().wait_event(event))

    assert "dependency created on uncaptured work in another stream" in str(caught.value.__context__)


def sync_elsewhere(mode: str) -> list[str]:
    """Synchronize an event on another thread while this one captures; return the errors there."""
    errors: list[str] = []
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.Stream())  # type: ignore[no-untyped-call]

    def query() -> None:
        try:
            event.query()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            errors.append(str(error))

    def body() -> None:
        thread = threading.Thread(target=query)
        thread.start()
        thread.join()

    try:
        capture(body, mode)
    except RuntimeError as error:
        errors.append(str(error))
    return errors


def test_capture_mode_decides_about_other_threads() -> None:
    """A global capture prohibits unsafe calls everywhere, a thread-local one does not."""
    everywhere = sync_elsewhere("global")

    assert NOT_PERMITTED in everywhere[0]
    assert INVALIDATED in everywhere[1]
    assert sync_elsewhere("thread_local") == []


def test_memory_can_grow_while_capturing() -> None:
    """Torch's allocator relaxes the capture around cudaMalloc."""
    capture(lambda: torch.empty(2**28, device="cuda"))


@pytest.mark.filterwarnings("ignore:The AccumulateGrad node's stream:UserWarning")  # torch 2.12's own capture
def test_graphed_callable(model: torch.nn.Module, inputs: torch.Tensor) -> None:
    """Torch's own wrapper, backward included."""
    with torch.enable_grad():
        sample = torch.ones(2, 8, device="cuda", requires_grad=True)
        graphed = torch.cuda.make_graphed_callables(torch.nn.Sequential(model), (sample,))
    with counting() as phase:
        graphed(inputs)

    assert phase.counts.total(TallyKind.GRAPH_LAUNCH) == 1
