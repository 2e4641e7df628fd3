"""Entering and leaving a simulated GPU: what is restored, what raises, and what can be read afterwards."""

import copy
import math
import threading
import types
from typing import Any

import pytest
import torch
from torch import nn

from pytest_diffopt.errors import SimulationError
from pytest_diffopt.simulated_gpu import SimulatedGPU, SyncKind, gpu_model_by_cuda_name, known_gpu_models
from pytest_diffopt.simulated_gpu.cost.gpus import gpu_model


class Layer(nn.Module):
    """A module with a parameter, a buffer, a plain tensor attribute and a cache that it fills when it runs."""

    table: torch.Tensor

    def __init__(self, size: int = 100) -> None:
        super().__init__()
        self.linear = nn.Linear(size, size)
        self.register_buffer("table", torch.arange(float(size)))
        self.plain = torch.ones(size)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run, and store the input."""
        self.calls += 1
        self.cache = [x]
        self.plain = x
        out: torch.Tensor = self.linear(x) + self.table
        return out


def identities(layer: Layer) -> list[tuple[int, int]]:
    """Return the identity and the memory address of each tensor of a layer."""
    tensors = [*layer.parameters(), *layer.buffers(), layer.plain]
    return [(id(one), one.data_ptr()) for one in tensors]


def test_modules_are_restored() -> None:
    """On leaving, a module has the same parameters, buffers and tensors as before; other changes stay."""
    layer = Layer()
    before = identities(layer)
    with SimulatedGPU() as gpu:
        layer.to(gpu.device)
        layer(torch.ones(100, device=gpu.device))

        assert layer.linear.weight.device == gpu.device

    assert identities(layer) == before
    assert not hasattr(layer, "cache")
    assert layer.calls == 1
    torch.testing.assert_close(layer(torch.zeros(100)), layer.linear.bias + torch.arange(100.0))


def test_modules_are_restored_after_an_exception() -> None:
    """An exception in the block restores the modules and propagates."""
    layer = Layer()
    before = identities(layer)

    def fail() -> None:
        with SimulatedGPU() as gpu:
            layer.to(gpu.device)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert identities(layer) == before


def test_modules_that_change_dtype_on_the_device_are_restored() -> None:
    """A second move writes into the moved parameters, and leaves the host's unchanged."""
    layer = Layer()
    before = identities(layer)
    with SimulatedGPU() as gpu:
        layer.to(gpu.device)
        layer.half()

        assert layer.linear.weight.dtype == torch.float16
        assert layer(torch.ones(100, device=gpu.device, dtype=torch.float16)).dtype == torch.float16

    assert identities(layer) == before
    assert layer.linear.weight.dtype == torch.float32


def test_large_weights_are_not_copied() -> None:
    """Weights that keep only their shape use no host memory."""
    layer = nn.Linear(1000, 1000)
    with SimulatedGPU() as gpu:
        layer.to(gpu.device)

        assert not layer.weight.has_data  # type: ignore[attr-defined]
        assert layer.weight.host_data is None  # type: ignore[attr-defined]
        assert layer.bias.has_data  # type: ignore[attr-defined]

    assert gpu.bytes_to_device == 4 * 1000 * 1001


def test_parameter_data_can_be_set() -> None:
    """`parameter.data = tensor_on_the_device` works as on a real GPU, and is undone on leaving."""
    layer = nn.Linear(4, 4)
    weight, pointer = layer.weight, layer.weight.data_ptr()
    with SimulatedGPU() as gpu:
        layer.weight.data = torch.zeros(2, 4, device=gpu.device)

        assert layer.weight is weight
        assert layer.weight.device == gpu.device
        assert isinstance(layer.weight, nn.Parameter)
        assert layer.weight.shape == (2, 4)

    assert layer.weight is weight
    assert (weight.device.type, weight.data_ptr(), weight.shape) == ("cpu", pointer, (4, 4))


def test_kept_objects_are_restored() -> None:
    """`keep` restores the tensors of any object; changes of its other attributes stay."""
    scheduler = types.SimpleNamespace(sigmas=torch.ones(3), order=1)
    sigmas = scheduler.sigmas
    with SimulatedGPU() as gpu:
        gpu.keep(scheduler)
        scheduler.sigmas = scheduler.sigmas.to(gpu.device)
        scheduler.timesteps = torch.zeros(3, device=gpu.device)
        scheduler.order = 2

    assert scheduler.sigmas is sigmas
    assert not hasattr(scheduler, "timesteps")
    assert scheduler.order == 2


def test_meta_modules_move() -> None:
    """A model without weights moves with `.to`, and is on the meta device again afterwards."""
    with torch.device("meta"):
        layer = Layer()
    with SimulatedGPU() as gpu:
        layer.to(gpu.device)

        assert layer(torch.ones(100, device=gpu.device)).shape == (100,)

    assert layer.linear.weight.is_meta


def test_compiled_modules_run_their_original_code() -> None:
    """Nothing is compiled inside the block."""

    def refuse(*_: object) -> None:
        raise AssertionError

    layer = Layer()
    compiled: Any = torch.compile(layer, backend=refuse)
    with SimulatedGPU() as gpu:
        compiled.to(gpu.device)

        assert compiled(torch.ones(100, device=gpu.device)).shape == (100,)


def test_patches_of_torch_are_removed() -> None:
    """No part of torch stays patched."""
    before = (nn.Module._apply, nn.Module.__call__, torch.Generator, torch.cuda.synchronize, torch.Tensor.data)
    with SimulatedGPU():
        assert nn.Module._apply is not before[0]

    assert before == (nn.Module._apply, nn.Module.__call__, torch.Generator, torch.cuda.synchronize, torch.Tensor.data)
    assert "data" not in torch.Tensor.__dict__


def test_entering_again_counts_from_zero() -> None:
    """A second block of the same object starts with zero counts."""
    gpu = SimulatedGPU()
    with gpu:
        torch.ones(3, device=gpu.device).sum().item()
    first = gpu.counts
    with gpu:
        pass

    assert (first.operations, gpu.operations) == (2, 0)
    assert gpu.syncs == ()


def test_nesting_raises() -> None:
    """A block inside a block raises, and the outer block continues."""
    with SimulatedGPU() as outer:
        with pytest.raises(SimulationError, match="entered already"), SimulatedGPU():
            pass
        torch.ones(3, device=outer.device)

    assert outer.operations == 1


def test_counts_can_be_read_after_the_block() -> None:
    """The counts stay readable, and do not change when tensors are released."""
    with SimulatedGPU() as gpu:
        x = torch.ones(1000, device=gpu.device)
        x.sum().item()
    before = gpu.counts, gpu.peak_memory_bytes, gpu.live_memory_bytes, gpu.peak_holders
    del x

    assert (gpu.counts, gpu.peak_memory_bytes, gpu.live_memory_bytes, gpu.peak_holders) == before
    assert gpu.live_memory_bytes == 4096


@pytest.mark.parametrize("enter_another", [False, True])
def test_tensors_raise_after_the_block(enter_another: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Using a tensor after its block raises, also inside another block."""
    with SimulatedGPU() as gpu:
        x = torch.ones(3, device=gpu.device)
    if enter_another:
        with SimulatedGPU(), pytest.raises(SimulationError, match=r"aten\.add\.Tensor.*block"):
            x + 1
    else:
        with pytest.raises(SimulationError, match=r"aten\.add\.Tensor.*block"):
            x + 1
    with pytest.raises(SimulationError, match="block"):
        torch.ones(3, device=gpu.device)


def test_a_second_thread_is_counted() -> None:
    """The work of other threads is counted and attributed to their modules."""
    layer = Layer()
    with SimulatedGPU() as gpu, torch.no_grad():
        layer.to(gpu.device)
        gpu.enter_phase("both")

        def work() -> None:
            with torch.no_grad():
                for _ in range(50):
                    layer(torch.ones(100, device=gpu.device)).sum()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert gpu.phases["both"].operations == 4 * 50 * 4
    assert gpu.modules["Linear"].operations == 4 * 50


def test_other_devices_are_untouched() -> None:
    """Work on the host is not counted and not changed."""
    with SimulatedGPU() as gpu:
        (torch.ones(100, 100) @ torch.ones(100, 100)).sum().item()
        nn.Linear(3, 3)(torch.ones(3)).half()

    assert (gpu.operations, gpu.syncs, gpu.allocated_bytes) == (0, (), 0)


@pytest.mark.parametrize(
    ("device_name", "name"),
    [
        ("NVIDIA H200", "nvidia-h200"),
        ("NVIDIA A100-SXM4-80GB", "nvidia-a100"),
        ("Tesla V100-SXM2-16GB", "nvidia-v100"),
        ("NVIDIA GeForce RTX 4090", "nvidia-rtx-4090"),
    ],
)
def test_gpu_model_is_found_by_cudas_name(device_name: str, name: str) -> None:
    """A measured time on a real GPU can be compared with its roofline."""
    found = gpu_model_by_cuda_name(device_name)

    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "device_name", ["NVIDIA A100 80GB PCIe", "NVIDIA A100-SXM4-40GB", "NVIDIA H200 NVL", "", "cpu"]
)
def test_other_variants_of_a_gpu_have_no_model(device_name: str) -> None:
    """Their peaks are lower, so the roofline would be wrong."""
    assert gpu_model_by_cuda_name(device_name) is None


def test_cudas_names_are_unique() -> None:
    """Each name belongs to one GPU model, and each model has a name."""
    names = [device_name for name in known_gpu_models() for device_name in gpu_model(name).cuda_names]

    assert len(set(names)) == len(names)
    assert all(gpu_model(name).cuda_names for name in known_gpu_models())


def test_unknown_gpus_raise() -> None:
    """The error lists the known GPU models."""
    with pytest.raises(SimulationError, match=r"one of nvidia-v100.*got: 'gtx'"):
        SimulatedGPU(name="gtx")


def test_generators_live_on_their_device() -> None:
    """A generator of the device draws on the device; one of the host raises, as on CUDA."""
    with SimulatedGPU() as gpu:
        generator = torch.Generator(gpu.device).manual_seed(3)

        assert generator.device == gpu.device
        assert isinstance(generator, torch.Generator)
        assert isinstance(torch.Generator(), torch.Generator)
        first = torch.randn(3, device=gpu.device, generator=generator).tolist()
        assert torch.randn(3, device=gpu.device, generator=generator.manual_seed(3)).tolist() == first
        with pytest.raises(RuntimeError, match="Expected a 'privateuseone' device type for generator but found 'cpu'"):
            torch.randn(3, device=gpu.device, generator=torch.Generator())


def test_mixing_devices_raises() -> None:
    """The error is torch's; 0-dimensional host tensors are accepted."""
    with SimulatedGPU() as gpu:
        x = torch.ones(3, device=gpu.device)

        assert (x + torch.tensor(1.0)).tolist() == [2, 2, 2]
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            x + torch.ones(3)


def test_numpy_raises() -> None:
    """A tensor on the device cannot be converted to NumPy; the error is torch's."""
    with SimulatedGPU() as gpu:
        x = torch.ones(3, device=gpu.device)
        with pytest.raises(TypeError, match=r"Use Tensor\.cpu\(\)"):
            x.numpy()


def test_reading_a_value_that_does_not_exist_raises() -> None:
    """The error has the operation, the line and what to do."""
    with SimulatedGPU(real_up_to=10) as gpu:
        x = torch.ones(11, device=gpu.device)
        with pytest.raises(SimulationError) as caught:
            x.sum().item()

    assert "aten._local_scalar_dense at tests/unit/simulated_gpu/test_device.py:" in str(caught.value)
    assert "(x.sum().item())" in str(caught.value)
    assert "real_up_to=..., now 10 elements" not in str(caught.value)
    assert "SimulatedGPU(real_up_to=...), now 10 elements" in str(caught.value)


def test_placeholder_values_are_returned_on_demand() -> None:
    """With `placeholder_values`, reads return zero, False or all elements, and each is listed with its line."""
    with SimulatedGPU(real_up_to=10, placeholder_values=True) as gpu:
        x = torch.ones(11, device=gpu.device)

        assert x.sum().item() == 0
        assert not torch.equal(x, x + 1)
        assert x[x > 0].shape == (11,)
        assert (x > 0).nonzero().shape == (11, 1)
        assert x.tolist() == [0.0] * 11

    assert [operation for operation, _ in gpu.placeholders] == [
        "aten._local_scalar_dense",
        "aten.equal",
        "aten.index",
        "aten.nonzero",
        "Tensor.tolist",
    ]
    assert all(where.file.endswith("test_device.py") for _, where in gpu.placeholders)


def test_bulk_copies_of_dropped_values_return_zeros() -> None:
    """They work without `placeholder_values`, since each pipeline copies its image to the host, and are listed."""
    with SimulatedGPU(real_up_to=10) as gpu:
        image = torch.ones(3, 11, device=gpu.device).cpu()

    assert image.device.type == "cpu"
    assert image.abs().sum() == 0
    assert [operation for operation, _ in gpu.placeholders] == ["aten._to_copy"]
    assert [sync.kind for sync in gpu.syncs] == [SyncKind.COPY_TO_HOST]


def test_a_mask_of_all_pairs_of_many_tokens_keeps_only_its_shape() -> None:
    """HunyuanVideo's attention mask at full size would take gigabytes; that of each token is known."""
    with SimulatedGPU() as gpu:
        tokens = torch.ones(1, 1, 1, 50_000, dtype=torch.bool, device=gpu.device)
        pairs = tokens.repeat(1, 1, 50_000, 1) & tokens.transpose(2, 3)

        assert tokens.all().item()
        assert pairs.shape == (1, 1, 50_000, 50_000)
        with pytest.raises(SimulationError, match="depends on a tensor that kept only its shape"):
            pairs.all().item()

    assert gpu.counts.peak_memory_bytes >= 2 * 50_000**2


def test_known_masks_select_unknown_values() -> None:
    """If only the mask is known, the shape of the selection is correct."""
    with SimulatedGPU(real_up_to=10) as gpu:
        x = torch.ones(6, 4, device=gpu.device)
        mask = torch.tensor([True, False, True, True, False, False], device=gpu.device)

        assert x[mask].shape == (3, 4)
        assert x.masked_select(mask[:, None]).shape == (12,)
        x[mask] = torch.zeros(3, 4, device=gpu.device)


@pytest.mark.parametrize("real_up_to", [0, math.inf])
def test_shapes_change_in_place(real_up_to: float) -> None:
    """Later operations use the new shape of a tensor that was reshaped in place."""
    with SimulatedGPU(real_up_to=real_up_to) as gpu:
        x = torch.ones(3, 1, 4, device=gpu.device)
        x.squeeze_(1)
        assert x.shape == (3, 4)
        x.transpose_(0, 1)
        assert (x.shape, x.stride()) == ((4, 3), (1, 4))
        x.unsqueeze_(0)
        assert (x + 1).shape == (1, 4, 3)
        x.resize_(5, 5)
        assert x.shape == (5, 5)
        out = torch.empty(0, device=gpu.device)
        torch.add(x, 1, out=out)
        assert out.shape == (5, 5)
        assert torch.ones(4, 4, device=gpu.device).quantile(0.5, dim=1).shape == (4,)


def test_large_new_memory_grows_in_place() -> None:
    """Memory that was allocated without being written to can be resized."""
    with SimulatedGPU(real_up_to=math.inf) as gpu:
        x = torch.empty(40_000, device=gpu.device)
        x.resize_(50_000)

        assert x.shape == (50_000,)
        assert not x[:40_000].any()


@pytest.mark.parametrize("writer", ["device", "host"])
def test_large_copies_are_independent(writer: str) -> None:
    """Writing to one side of a copy over the bus leaves the other side unchanged."""
    host = torch.ones(200, 200)
    with SimulatedGPU(real_up_to=math.inf) as gpu:
        copy = host.to(gpu.device)
        view = copy[1:]
        (copy if writer == "device" else host).add_(1)

        assert (copy.mean().item(), host.mean().item()) == ((2, 1) if writer == "device" else (1, 2))
        assert view.mean().item() == copy.mean().item()


def test_views_see_a_later_copy_into_their_memory() -> None:
    """A view that was made before a large copy has the copied values."""
    with SimulatedGPU(real_up_to=math.inf) as gpu:
        x = torch.empty(200, 200, device=gpu.device)
        view, alias = x[1:], x.detach()
        x.copy_(torch.ones(200, 200))

        assert view.mean().item() == alias.mean().item() == 1


def test_writing_unknown_values_drops_known_ones() -> None:
    """A tensor and its views lose their values when unknown values are written."""
    with SimulatedGPU(real_up_to=10) as gpu:
        known = torch.ones(4, device=gpu.device)
        view = known[1:]
        known += torch.ones(11, device=gpu.device).sum()
        with pytest.raises(SimulationError, match="does not exist"):
            view.tolist()


def test_foreign_operations_are_named() -> None:
    """An operation that is not one of torch's runs, and is listed as not modelled."""
    with torch.library._scoped_library("diffopt_test", "FRAGMENT") as library:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: x * 2, "CompositeExplicitAutograd")
        with SimulatedGPU(real_up_to=10) as gpu, torch.no_grad():
            assert torch.ops.diffopt_test.twice(torch.ones(3, device=gpu.device)).tolist() == [2, 2, 2]
            assert torch.ops.diffopt_test.twice(torch.ones(30, device=gpu.device)).shape == (30,)

    assert gpu.unmodelled == ("diffopt_test.twice.default",)


def test_inference_mode_counts_the_same() -> None:
    """Composite operations reach the device undecomposed in inference mode, and count the same."""
    counts = []
    for mode in (torch.no_grad, torch.inference_mode):
        layer = Layer(size=10)
        with SimulatedGPU() as gpu, mode():
            layer.to(gpu.device)
            layer(torch.ones(2, 10, device=gpu.device)).sum().item()
        counts.append((gpu.counts, len(gpu.syncs)))

    assert counts[0] == counts[1]


def test_modules_can_be_copied() -> None:
    """A deep copy of a module on the device has its own memory and parameters."""
    layer = nn.Linear(4, 4)
    with SimulatedGPU() as gpu:
        layer.to(gpu.device)
        clone = copy.deepcopy(layer)

        assert clone.weight is not layer.weight
        assert isinstance(clone.weight, nn.Parameter)
        assert clone.weight.tolist() == layer.weight.tolist()
        assert clone.weight.allocation is not layer.weight.allocation  # type: ignore[attr-defined]


def test_modules_that_move_themselves_are_restored() -> None:
    """A module whose method assigns new parameters is restored."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean = nn.Parameter(torch.zeros(3))

        def move(self, device: torch.device) -> None:
            self.mean = nn.Parameter(self.mean.to(device))

    own = Own()
    mean = own.mean
    with SimulatedGPU() as gpu:
        own.move(gpu.device)

        assert own.mean.device == gpu.device

    assert own.mean is mean


@pytest.mark.parametrize("dtype", [torch.float32, torch.int8, torch.bool])
def test_printing_reads_values_one_by_one(dtype: torch.dtype) -> None:
    """Printing reads many values, as on a real GPU; the number does not depend on whether they are known."""
    syncs = []
    for real_up_to in (0, math.inf):
        host = torch.rand(100, 100).to(dtype) if dtype.is_floating_point else torch.ones(100, 100, dtype=dtype)
        with SimulatedGPU(real_up_to=real_up_to) as gpu:
            x = host.to(gpu.device)
            x.allocation.has_data = math.isinf(real_up_to)  # type: ignore[attr-defined]
            gpu.enter_phase("print")
            text = str(x)
            gpu.enter_phase(None)
        syncs.append(sum(sync.phase == "print" for sync in gpu.syncs))

        assert ("<no values kept>" in text) == (real_up_to == 0)
    assert syncs[0] == syncs[1] > 36


class Caching(nn.Module):
    """Moves its table to the device of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.ones(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the table."""
        self.table = self.table.to(x.device)
        return x + self.table


def test_tensors_that_a_module_moves_in_its_call_are_restored() -> None:
    """A tensor attribute is restored even if the module was never moved."""
    module = Caching()
    table = module.table
    with SimulatedGPU() as gpu:
        module(torch.ones(3, device=gpu.device))

        assert module.table.device == gpu.device

    assert module.table is table


def test_shared_weights_are_moved_once() -> None:
    """As on a GPU: one copy, one sync, one allocation and one parameter."""
    first, second = nn.Linear(100, 100, bias=False), nn.Linear(100, 100, bias=False)
    second.weight = weight = first.weight
    model = nn.Sequential(first, second)
    with SimulatedGPU() as gpu:
        model.to(gpu.device)

        assert first.weight is second.weight
        assert len(gpu.syncs) == 1
        assert gpu.bytes_to_device == 40_000
        assert gpu.peak_memory_bytes == 40_448

    assert first.weight is second.weight is weight


def test_modules_that_override_apply_are_moved_by_it() -> None:
    """A module that overrides `_apply`, and one with gradients, are moved by torch."""

    class Own(nn.Linear):
        def _apply(self, fn: Any, recurse: bool = True) -> Any:  # noqa: FBT001, FBT002 - torch's own signature
            applied.append(self)
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    applied: list[nn.Module] = []
    own, plain = Own(3, 3), nn.Linear(3, 3)
    plain(torch.ones(1, 3)).sum().backward()
    gradient = plain.weight.grad
    with SimulatedGPU() as gpu:
        nn.Sequential(own, plain).to(gpu.device)

        assert applied == [own]
        assert {own.weight.device, plain.weight.grad.device} == {gpu.device}  # type: ignore[union-attr]

    assert plain.weight.grad is gradient
    assert own.weight.device.type == "cpu"


def test_layers_made_on_the_device_are_removed() -> None:
    """A layer that was added on the device is removed, and one that was replaced is restored."""
    layer = Layer(size=4)
    linear = layer.linear
    with SimulatedGPU() as gpu:
        layer.to(gpu.device)
        layer.linear = nn.Linear(4, 4, device=gpu.device)
        layer.fused = nn.Linear(4, 12, device=gpu.device)
        layer.act = nn.SiLU()

    assert layer.linear is linear
    assert not hasattr(layer, "fused")
    assert isinstance(layer.act, nn.SiLU)


def test_default_device_applies_in_the_block_and_after_it() -> None:
    """`with torch.device(...)` works although it is first used in the block, where torch's functions are replaced."""
    from torch.utils import _device  # noqa: PLC0415 - torch's cache is private

    _device._device_constructors.cache_clear()
    with SimulatedGPU():
        inside = [torch.empty(2), torch.zeros(2)]
        with torch.device("meta"):
            inside += [torch.empty(2), torch.zeros(2), torch.randn(2)]
    with torch.device("meta"):
        after = torch.empty(2)

    assert [one.device.type for one in inside] == ["cpu", "cpu", "meta", "meta", "meta"]
    assert after.device.type == "meta"
