"""Offload hooks move their modules to the simulated GPU while a call is watched, and are as before afterwards."""

from collections.abc import Callable
from typing import Any

import accelerate
import pytest
import torch
from accelerate.hooks import AlignDevicesHook, CpuOffload, ModelHook, add_hook_to_module
from diffusers.hooks import apply_group_offloading
from torch import nn

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.on_simulated_gpu import moved, on_simulated_gpu
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.records import Subject, SyncRecord
from pytest_diffopt.simulated_gpu import SimulatedGPU
from pytest_diffopt.simulated_gpu.backend.tensor import SimulatedTensor

HOST = torch.device("cpu")
LAYERS, WIDTH = 3, 8
LAYER_BYTES = (WIDTH * WIDTH + WIDTH) * 4
SCALE_BYTES = WIDTH * 4


class Model(nn.Module):
    """Three layers, a parameter outside of them and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS))
        self.scale = nn.Parameter(torch.full((WIDTH,), 2.0))
        self.shift: torch.Tensor
        self.register_buffer("shift", torch.ones(WIDTH), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply all layers."""
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x * self.scale + self.shift


def group(**options: Any) -> Callable[[nn.Module, torch.device], None]:
    """Return a function that enables group offload."""
    return lambda model, device: apply_group_offloading(model, onload_device=device, **options)


Offload = Callable[[nn.Module, torch.device], Any]
OFFLOADS: dict[str, Offload] = {
    "model": accelerate.cpu_offload_with_hook,
    "sequential": accelerate.cpu_offload,
    "sequential with buffers": lambda model, device: accelerate.cpu_offload(model, device, offload_buffers=True),
    "block": group(offload_type="block_level", num_blocks_per_group=1),
    "leaf": group(offload_type="leaf_level"),
}
STREAMS: dict[str, Offload] = {
    "block, stream": group(offload_type="block_level", num_blocks_per_group=1, use_stream=True),
    "leaf, stream": group(offload_type="leaf_level", use_stream=True),
    "leaf, stream, record_stream": group(offload_type="leaf_level", use_stream=True, record_stream=True),
    "leaf, stream, low_cpu_mem_usage": group(offload_type="leaf_level", use_stream=True, low_cpu_mem_usage=True),
}
ALL = [*OFFLOADS, *STREAMS]


def offloaded(name: str) -> Model:
    """Return a model with offload; with streams, which the CPU does not have, it is enabled for a simulated GPU."""
    torch.manual_seed(0)
    model = Model().requires_grad_(requires_grad=False)
    if name in OFFLOADS:
        OFFLOADS[name](model, HOST)
    else:
        with SimulatedGPU() as gpu:
            STREAMS[name](model, gpu.device)
    return model


def watched(model: nn.Module, calls: int = 1) -> SyncRecord:
    """Return the record of this number of calls."""
    with torch.no_grad(), watch_syncs(model, Subject(pipeline="model")) as watch:
        for _ in range(calls):
            model(watch.moved(torch.ones(1, WIDTH)))
    return watch.record


@pytest.mark.parametrize("name", ALL)
def test_the_result_is_that_of_the_cpu(name: str) -> None:
    """The weights reach the simulated GPU with their values, in several calls."""
    torch.manual_seed(0)
    expected = Model()(torch.ones(1, WIDTH))
    model = offloaded(name)
    with torch.no_grad(), on_simulated_gpu(model) as gpu:
        results = [model(torch.ones(1, WIDTH, device=gpu.device)) for _ in range(3)]

        assert all(one.device == gpu.device for one in results)
        assert all(torch.equal(one.cpu(), expected) for one in results)


# (syncs of the hooks, bytes to the GPU, bytes to the host) of one call, by what the hooks move:
#   model: all parameters and the buffer, which stay on the GPU;
#   sequential: all parameters, of which the host keeps a copy;
#   block and leaf: everything to the GPU and back;
#   stream: everything to the GPU in the first call, which also finds the order of the layers.
WHOLE = LAYERS * LAYER_BYTES + 2 * SCALE_BYTES
TENSORS = 2 * LAYERS + 2


@pytest.mark.parametrize(
    ("name", "syncs", "to_device", "to_host"),
    [
        ("model", TENSORS, WHOLE, 0),
        ("sequential", TENSORS - 1, WHOLE - SCALE_BYTES, 0),
        ("sequential with buffers", TENSORS - 1, WHOLE - SCALE_BYTES, 0),
        ("block", 2 * TENSORS, WHOLE, WHOLE),
        ("leaf", 2 * TENSORS, WHOLE, WHOLE),
    ],
)
def test_the_bytes_over_the_bus_are_exact(name: str, syncs: int, to_device: int, to_host: int) -> None:
    """Each tensor is one blocking copy; the argument is moved outside of the call."""
    record = watched(offloaded(name))

    assert record.syncs == ()
    assert record.offload_syncs == (syncs,)
    assert record.bytes_to_device == (to_device,)
    assert record.bytes_to_host == (to_host,)


def test_streams_copy_without_blocking_copies() -> None:
    """After the first call the copies come from pinned memory; the CPU synchronizes with the stream instead."""
    model = offloaded("leaf, stream")
    with torch.no_grad(), on_simulated_gpu(model) as gpu:
        x = torch.ones(1, WIDTH, device=gpu.device)
        model(x)
        gpu.enter_phase("later")
        model(x)
    later = [sync for sync in gpu.syncs if sync.phase == "later"]

    assert {sync.operation for sync in later} == {"torch.cuda.Stream.synchronize"}
    assert all(sync.is_offload for sync in later)
    assert gpu.phases["later"].bytes_to_device == WHOLE
    assert gpu.phases["later"].bytes_to_host == 0


def test_record_stream_saves_a_sync_for_each_group() -> None:
    """Without it the CPU synchronizes before the memory of a group is released."""
    with_it = watched(offloaded("leaf, stream, record_stream"), calls=2)
    without_it = watched(offloaded("leaf, stream"), calls=2)

    assert sum(with_it.offload_syncs) < sum(without_it.offload_syncs)


def peak(model: nn.Module) -> int:
    """Return the peak memory of one call, in bytes."""
    with torch.no_grad(), on_simulated_gpu(model) as gpu:
        model(torch.ones(1, WIDTH, device=gpu.device))
    return gpu.peak_memory_bytes


def test_offload_lowers_the_peak() -> None:
    """Each storage takes at least 512 bytes: a layer 1024, of which one is on the GPU at a time."""
    resident = peak(Model())

    assert peak(offloaded("model")) == resident
    assert peak(offloaded("leaf")) < resident
    assert peak(offloaded("leaf")) == peak(offloaded("leaf, stream, low_cpu_mem_usage"))
    assert peak(offloaded("sequential")) < resident


@pytest.mark.parametrize("name", ALL)
def test_a_read_is_found_under_offload(name: str) -> None:
    """It is reported with its line, apart from the syncs of the hooks."""
    model = offloaded(name)

    def read(_module: nn.Module, _arguments: Any, result: torch.Tensor) -> None:
        result.max().item()

    model.layers[1].register_forward_hook(read)
    record = watched(model)

    assert [(sync.operation, sync.where.function) for sync in record.syncs] == [(".item()", "read")]
    assert record.offload_syncs[0] > 0


def test_an_argument_on_the_host_is_no_sync_of_the_hooks() -> None:
    """A hook moves it silently: a sync for which the caller is responsible."""
    model = offloaded("model")
    with torch.no_grad(), watch_syncs(model, Subject(pipeline="model")) as watch:
        model(torch.ones(1, WIDTH))

    assert [sync.where.function for sync in watch.record.syncs] == [
        "test_an_argument_on_the_host_is_no_sync_of_the_hooks"
    ]


def state(model: nn.Module) -> list[Any]:
    """Return everything that a hook, its library or the simulation might change."""
    found: list[Any] = []
    for part in model.modules():
        found += [part.__dict__.get(name) for name in ("forward", "_hf_hook", "_old_forward", "_diffusers_hook")]
        found += [*part._parameters.values(), *part._buffers.values()]
        registry = part.__dict__.get("_diffusers_hook")
        for hook in [part.__dict__.get("_hf_hook"), *getattr(registry, "hooks", {}).values()]:
            found += [value for name, value in vars(hook).items() if name != "fn_ref"] if hook else []
            found += list(vars(hook.group).values()) if hasattr(hook, "group") else []
        found += [function.forward for function in getattr(registry, "_fn_refs", [])]
    return found


def as_compared(value: Any) -> Any:
    """Return what must be equal: the object itself, or the contents of a container."""
    if isinstance(value, dict):
        return {id(key): id(one) for key, one in value.items()}
    if isinstance(value, list | set):
        return [id(one) for one in value]
    return value if isinstance(value, torch.device | bool) else id(value)


@pytest.mark.parametrize("name", ALL)
def test_hooks_and_weights_are_as_before(name: str) -> None:
    """The hooks are aimed at the user's device again, in the state in which they were."""
    model = offloaded(name)
    before = state(model)
    compared = [as_compared(value) for value in before]
    watched(model, calls=2)
    after = state(model)

    assert [as_compared(value) for value in after] == compared
    assert not any(isinstance(value, SimulatedTensor) for value in after)


@pytest.mark.parametrize("name", list(OFFLOADS))
def test_a_plain_call_works_afterwards(name: str) -> None:
    """On the user's device, with the same result as before."""
    model = offloaded(name)
    expected = model(torch.ones(1, WIDTH))
    watched(model)

    assert torch.equal(model(torch.ones(1, WIDTH)), expected)


def test_hooks_are_restored_after_an_error() -> None:
    """An error in the call changes nothing of that."""
    model = offloaded("leaf")
    with pytest.raises(RuntimeError, match="shape"), on_simulated_gpu(model) as gpu:
        model(torch.ones(1, WIDTH + 1, device=gpu.device))

    assert model(torch.ones(1, WIDTH)).device == HOST


def test_two_watches_see_the_same() -> None:
    """Group offload with streams finds the order of the layers in its first call: each watch sees that call."""
    model = offloaded("leaf, stream")

    assert watched(model) == watched(model)


class OwnHook(ModelHook):  # type: ignore[misc] # accelerate has no type information
    """Moves its module in a way that is not known here."""

    def __init__(self) -> None:
        self.home = HOST


class DerivedHook(CpuOffload):  # type: ignore[misc] # accelerate has no type information
    """Offload with changes."""


class CastingHook(ModelHook):  # type: ignore[misc] # accelerate has no type information
    """Moves nothing."""


@pytest.mark.parametrize("hook", [OwnHook(), DerivedHook(HOST)], ids=lambda hook: type(hook).__name__)
def test_an_unknown_hook_with_a_device_is_refused(hook: ModelHook) -> None:
    """In one line, which names it; the module is as before."""
    model = Model()
    add_hook_to_module(model.layers[1], hook)
    with pytest.raises(ProbeError) as caught, on_simulated_gpu(model):
        pass

    assert str(caught.value) == (
        "these hooks move their modules in every call and cannot be aimed at the simulated GPU: "
        f"Model ({__name__}.{type(hook).__name__}); build the pipeline without them for this test"
    )
    assert model.scale.device == HOST


def test_group_offload_to_a_disk_is_refused(tmp_path: Any) -> None:
    """Its files are read by a library that does not know the simulated GPU."""
    model = Model()
    group(offload_type="leaf_level", offload_to_disk_path=str(tmp_path))(model, HOST)
    with pytest.raises(ProbeError, match=r"Model \(diffusers group offloading to a disk\)"), on_simulated_gpu(model):
        pass


@pytest.mark.parametrize("hook", [CastingHook(), AlignDevicesHook(io_same_device=True)], ids=["own", "accelerate"])
def test_a_hook_without_a_device_is_no_offload(hook: ModelHook) -> None:
    """The module is moved as without it."""
    model = Model()
    add_hook_to_module(model, hook)
    with torch.no_grad(), on_simulated_gpu(model) as gpu:
        assert model.scale.device == gpu.device
        assert model(moved(torch.ones(1, WIDTH), gpu.device)).device == gpu.device
    assert model.scale.device == HOST


def test_only_a_part_of_a_pipeline_is_offloaded() -> None:
    """The other modules are on the simulated GPU during the whole call."""

    class Pipeline:
        def __init__(self) -> None:
            self.components = {"one": offloaded("leaf"), "two": Model()}

    pipeline = Pipeline()
    with on_simulated_gpu(pipeline) as gpu:
        assert pipeline.components["one"].scale.device == HOST
        assert pipeline.components["two"].scale.device == gpu.device


def test_weights_without_values_come_back_with_them() -> None:
    """Large weights keep only their shape on the device; a copy to the host is that of the original."""
    weight = nn.Linear(100, 100)
    expected = weight.weight.detach().clone()
    with torch.no_grad(), SimulatedGPU(real_up_to=10) as gpu:
        weight.to(gpu.device)
        back = weight.weight.to("cpu")
        weight.weight.mul_(2)
        weight.to("cpu")

        assert torch.equal(back, expected)
        assert [operation for operation, _ in gpu.placeholders] == ["aten._to_copy"]
