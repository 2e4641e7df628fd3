"""Streams, events and the module of the device, as code finds them on a GPU."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu import Event, SimulatedGPU, Stream, Sync
from pytest_diffopt.simulated_gpu.backend import pinned_memory


def syncs_of(call: Callable[[Any], object]) -> list[Sync]:
    """Return the syncs of a function of the device's module."""
    with SimulatedGPU() as gpu:
        call(torch.get_device_module(gpu.device))
    return list(gpu.syncs)


def test_a_stream_synchronizes_the_host_only_on_demand() -> None:
    """Streams that wait for each other do not block the CPU."""

    def order(module: Any) -> None:
        side, main = module.Stream(), module.current_stream()
        side.wait_stream(main)
        with module.stream(side):
            assert module.current_stream() is side
            main.wait_event(side.record_event())
            module.Event().record(side)
        assert module.current_stream() is main is module.default_stream()
        assert main.query()
        assert side.record_event().query()

    assert syncs_of(order) == []
    assert [sync.is_reported for sync in syncs_of(lambda module: module.Stream().synchronize())] == [True]
    assert [sync.is_reported for sync in syncs_of(lambda module: module.Stream().record_event().synchronize())] == [
        False
    ]


def test_a_stream_may_be_set() -> None:
    """The module has one current stream; no stream changes nothing."""

    def set_stream(module: Any) -> None:
        side = module.Stream()
        module.set_stream(side)
        with module.stream(None):
            assert module.current_stream() is side

    assert syncs_of(set_stream) == []


def test_an_event_has_no_time() -> None:
    """A time would not be a measured figure."""
    with SimulatedGPU():
        start, end = Event(enable_timing=True), Event(enable_timing=True)
        with pytest.raises(SimulationError, match="no time passes between two of its events: measure it on a GPU"):
            start.elapsed_time(end)


@pytest.mark.parametrize("thing", [Stream(), Stream().record_event()], ids=["stream", "event"])
def test_synchronizing_outside_of_a_block_raises(thing: Stream | Event) -> None:
    """In one sentence."""
    with pytest.raises(SimulationError, match="outside its block; use the stream inside the block"):
        thing.synchronize()


def test_each_block_has_a_module_of_its_own() -> None:
    """Torch caches the module of a device, which would count into an earlier block."""
    for number in (1000, 2000):
        with SimulatedGPU() as gpu:
            kept = torch.ones(number, device=gpu.device)
            module: Any = torch.get_device_module(gpu.device)

            assert module.memory_allocated() == gpu.live_memory_bytes >= kept.nbytes
    assert not hasattr(torch, gpu.device.type)


@pytest.mark.parametrize("elements", [4, 100_000])
def test_pinned_memory_is_a_copy(elements: int) -> None:
    """Of a small tensor, and of a large one that is copied on write."""
    with SimulatedGPU():
        source = torch.zeros(elements)
        pinned = source.pin_memory()
        pinned += 1

        assert pinned.is_pinned()
        assert not source.is_pinned()
        assert not source.any()
        assert pinned.pin_memory() is pinned
        assert pinned_memory.is_pinned(torch.empty_like(source, pin_memory=True))
