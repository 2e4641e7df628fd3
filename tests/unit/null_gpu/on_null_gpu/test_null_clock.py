"""The virtual clock: events and `torch.cuda._sleep` live on it, and the timeline of its log is the same."""

# mypy: disable-error-code="no-untyped-call"
# torch.cuda's events, streams and _sleep have no type information.

import time
from collections.abc import Callable

import pytest
import torch
from torch._dynamo.utils import counters

from pytest_diffopt.null_gpu.clock import EntryType, learning, read_log, running, set_copy_rates, set_durations_ns
from pytest_diffopt.null_gpu.errors import NullGpuError
from pytest_diffopt.null_gpu.timeline import spans
from pytest_diffopt.null_gpu.values.computing import Values, computing
from pytest_diffopt.probes.timeline import estimate_timeline
from pytest_diffopt.records import Subject

_MS_CYCLES = 1_980_000  # of an H200 at 1980 MHz
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


def on_clock(call: Callable[[], object]) -> None:
    """Learn a call and make it on the clock."""
    with learning() as numbers:
        call()
        work = numbers()
    with running(work):
        call()


def host_times_ns(*kinds: EntryType) -> list[int]:
    """Return when the host enqueued each entry of the log, whose kinds are known."""
    log = read_log()
    assert [entry.type for entry in log] == list(kinds)
    return [entry.host_ns for entry in log]


def test_sleep_and_events() -> None:
    """The events are 10 ms of a spinning kernel apart, or as far as a slow host records them; it waits for the rest."""
    elapsed_ms: list[float] = []

    def sleep() -> None:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        torch.cuda._sleep(10 * _MS_CYCLES)
        end.record()
        end.synchronize()
        elapsed_ms.append(start.elapsed_time(end))

    begin_ns = time.monotonic_ns()
    on_clock(sleep)
    log = read_log()
    (span,) = spans(log, [(0, log[0].host_ns), (len(log), log[-1].host_ns)])
    start, spins, end, waits = host_times_ns(EntryType.RECORD, EntryType.WORK, EntryType.RECORD, EntryType.SYNC)
    done = max(spins + 10 * _NS_PER_MS, end)

    assert elapsed_ms[1] == pytest.approx((done - start) / _NS_PER_MS)
    assert span.busy_ns == 10 * _NS_PER_MS
    assert span.waited_ns == max(0, done - waits)
    assert time.monotonic_ns() > begin_ns


def test_streams_wait_for_each_other() -> None:
    """A stream that waits for an event of another one ends after both: 3 ms and 2 ms."""
    elapsed_ms: list[float] = []
    first, second = torch.cuda.Stream(), torch.cuda.Stream()

    def chain() -> None:
        start, between, end = (torch.cuda.Event(enable_timing=True) for _ in range(3))
        start.record(first)
        with torch.cuda.stream(first):
            torch.cuda._sleep(3 * _MS_CYCLES)
        between.record(first)
        second.wait_event(between)
        with torch.cuda.stream(second):
            torch.cuda._sleep(2 * _MS_CYCLES)
        end.record(second)
        elapsed_ms.append(start.elapsed_time(end))

    on_clock(chain)
    record, work, wait = EntryType.RECORD, EntryType.WORK, EntryType.WAIT
    start, one, between, _wait, other, end = host_times_ns(record, work, record, wait, work, record)
    begins = max(one + 3 * _NS_PER_MS, between, other)

    assert elapsed_ms[1] == pytest.approx((max(begins + 2 * _NS_PER_MS, end) - start) / _NS_PER_MS)


def test_durations_of_kernels_and_copies() -> None:
    """A kernel has the duration that was set, a copy that of its bytes at the rate of the bus."""
    tensor = torch.ones(1000, 1000, device="cuda")
    pinned = torch.ones(1000, 1000, pin_memory=True)
    set_copy_rates(bus_bytes_per_s=4e9, memory_bytes_per_s=1e12)

    def call() -> None:
        tensor.mul_(2)
        tensor.copy_(pinned, non_blocking=True)
        torch.cuda.synchronize()

    with learning() as numbers:
        call()
        work = numbers()
    set_durations_ns({work.start: 5 * _NS_PER_MS})
    with running(work):
        call()
    log = read_log()
    (span,) = spans(log, [(0, log[0].host_ns), (len(log), log[-1].host_ns)])

    assert [entry.device_ns for entry in log[:2]] == [5 * _NS_PER_MS, _NS_PER_MS]
    assert span.busy_ns == 6 * _NS_PER_MS


def test_other_work_is_an_error() -> None:
    """The durations would belong to other kernels; the message names the first one that differs."""
    tensor = torch.ones(4, device="cuda")
    with learning() as numbers:
        tensor.mul_(2)
        work = numbers()

    other_work = "a call enqueues other work than the same call before: "
    with pytest.raises(NullGpuError, match=f"{other_work}.*add.* instead of .*Mul"), running(work):
        tensor.add_(2)
    with pytest.raises(NullGpuError, match=f"{other_work}nothing instead of .*Mul"), running(work):
        pass
    with pytest.raises(NullGpuError, match=f"{other_work}.*add.* instead of nothing"), running(work):
        tensor.mul_(2).add_(2)


class Model(torch.nn.Module):
    """Products that take long on a GPU, and maybe a read of the result."""

    def __init__(self, *, reads: bool) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4096, 4096, device="cuda", dtype=torch.bfloat16)
        self.reads = reads

    def forward(self, values: torch.Tensor, flag: torch.Tensor) -> torch.Tensor:
        """Compute."""
        for _ in range(3):
            values = self.linear(values)
            if self.reads and flag.item() > 1:
                break
        return values


@pytest.mark.parametrize("reads", [False, True])
def test_timeline_of_a_module(*, reads: bool) -> None:
    """3 products of 8192 x 4096 x 4096 take 2.75e11 FLOPs each, at 989.4 TFLOP/s 0.278 ms; a sync costs its line."""
    model = Model(reads=reads)
    values = torch.ones(8192, 4096, device="cuda", dtype=torch.bfloat16)
    flag = torch.ones(1, device="cuda")
    with torch.no_grad(), computing(Values.SMALL):
        record = estimate_timeline(model, lambda: model(values, flag), Subject(pipeline="Model"))
    (phase,) = record.phases

    assert (record.gpu_model, record.num_steps, record.without_model) == ("nvidia-h200", 0, 0)
    assert phase.busy_ns == pytest.approx(3 * 277_800, rel=0.01)
    assert phase.total_ns >= phase.busy_ns
    assert [sync.count for sync in record.syncs] == ([3] if reads else [])
    if reads:
        assert phase.waited_ns > 0
        assert record.syncs[0].where.startswith(__file__)
        assert record.syncs[0].cost_ns > 0


def test_timeline_of_a_compiled_module() -> None:
    """The products that Inductor leaves to a library have the time that they have in eager code."""
    torch.compiler.reset()
    model = torch.compile(Model(reads=False))
    values = torch.ones(8192, 4096, device="cuda", dtype=torch.bfloat16)
    flag = torch.ones(1, device="cuda")
    with torch.no_grad(), computing(Values.SMALL):
        model(values, flag)
        record = estimate_timeline(model, lambda: model(values, flag), Subject(pipeline="Model"))
    torch.compiler.reset()

    assert (record.launches, record.without_model) == (3, 0)
    assert record.phases[0].busy_ns == pytest.approx(3 * 277_800, rel=0.01)


class Residual(torch.nn.Module):
    """A block whose norm Inductor generates a kernel for."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.norm, self.linear = torch.nn.LayerNorm(32), torch.nn.Linear(32, 32)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Add the layers' output."""
        result: torch.Tensor = self.linear(self.norm(values)) + values
        return result


@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")  # torch 2.12, of float32
def test_a_compiled_module_is_compiled_once() -> None:
    """Calls without values have the dispatch keys of calls with them, which Dynamo's guards check."""
    torch.compiler.reset()
    model = torch.nn.Sequential(Residual(), Residual()).cuda()
    for block in model:
        block.compile()
    values = torch.ones(2, 32, 64, device="cuda").transpose(1, 2)
    with torch.no_grad(), computing(Values.ALL):
        model(values)
        graphs = counters["stats"]["unique_graphs"]
        record = estimate_timeline(model, lambda: model(values), Subject(pipeline="Model"))
    torch.compiler.reset()

    assert record.launches == 6
    assert counters["stats"]["unique_graphs"] == graphs


def test_nodes_of_a_graph_have_their_durations() -> None:
    """They are learned as the graph is captured."""
    model = Model(reads=False)
    values = torch.ones(8192, 4096, device="cuda", dtype=torch.bfloat16)
    flag = torch.ones(1, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), computing(Values.SMALL):
        model(values, flag)
        torch.cuda.synchronize()
        with torch.cuda.graph(graph):
            model(values, flag)
        record = estimate_timeline(graph.replay, graph.replay, Subject(pipeline="graph"))

    assert (record.launches, record.without_model) == (3, 0)
    assert record.phases[0].busy_ns == pytest.approx(3 * 277_800, rel=0.01)


@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores", "ignore:The CUDA Graph is empty")
def test_library_calls_in_the_graphs_of_compiled_code_have_their_durations() -> None:
    """Inductor captures them within a call of compiled code, whose operations are otherwise not looked at."""
    torch.compiler.reset()
    model = torch.compile(torch.nn.Linear(4096, 4096, bias=False).cuda(), mode="reduce-overhead")
    values = torch.ones(4096, 4096, device="cuda")
    with torch.no_grad(), computing(Values.SMALL):
        model(values)  # without a graph
        model(values)  # captured
        record = estimate_timeline(model, lambda: model(values), Subject(pipeline="Model"))
    torch.compiler.reset()

    assert record.without_model == 0
    assert record.phases[0].busy_ns > 2 * 4096**3 / (989.4e12 / _NS_PER_S)  # no dtype of an H200 is faster
