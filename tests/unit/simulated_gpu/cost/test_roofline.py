"""The roofline of counted work."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

from pytest_diffopt.probes.on_simulated_gpu import on_simulated_gpu
from pytest_diffopt.simulated_gpu import Counts, SimulatedGPU
from pytest_diffopt.simulated_gpu.cost.gpus import gpu_model, known_gpu_models
from pytest_diffopt.simulated_gpu.cost.roofline import Limit, bound_of, main_dtype, peak_tflops, seconds_of

H200 = gpu_model("nvidia-h200")
_MIB = 2**20


def test_work_is_bound_by_flops() -> None:
    """989.4 TFLOPs that write one byte take one second on an H200."""
    bound = bound_of(Counts(least_flops={"bfloat16": 989_400_000_000_000}, least_written_bytes=1), H200)

    assert (bound.seconds, bound.limit) == (1.0, Limit.FLOPS)


def test_work_is_bound_by_bytes() -> None:
    """Without FLOPs, the bandwidth is the limit."""
    bound = bound_of(Counts(least_written_bytes=4_800_000_000_000), H200)

    assert (bound.seconds, bound.limit) == (1.0, Limit.BYTES)


def test_each_dtype_has_its_own_peak() -> None:
    """One second of bfloat16 and one of int8, which is twice as fast, take two seconds."""
    flops = {"bfloat16": 989_400_000_000_000, "int8": 1_978_900_000_000_000}

    assert bound_of(Counts(least_flops=flops), H200).seconds == pytest.approx(2.0)


def test_bounds_of_phases_are_added() -> None:
    """Each phase has its own limit, so the sum is longer than the bound of the summed counts."""
    by_bytes, by_flops = (
        Counts(least_written_bytes=4_800_000_000),
        Counts(least_flops={"bfloat16": 989_400_000_000_000}),
    )

    assert seconds_of([by_bytes, by_flops], H200) == pytest.approx(1.001)


@pytest.mark.parametrize(
    ("name", "dtype", "tflops"),
    [
        ("nvidia-h200", "float16", 989.4),
        ("nvidia-h200", "float32", 494.7),
        ("nvidia-h200", "float8_e4m3fn", 1978.9),
        ("nvidia-h200", "int8", 1978.9),
        ("nvidia-t4", "bfloat16", 8.1),
        ("nvidia-a100", "float8_e4m3fn", 312.0),
        ("nvidia-a100", "int8", 624.0),
        ("nvidia-a100", "float4_e2m1fn_x2", 624.0),
        ("nvidia-a100", "None", 624.0),
    ],
)
def test_peak_of_a_dtype(name: str, dtype: str, tflops: float) -> None:
    """float32 may run in TF32, old tensor cores lack some dtypes, and an unknown dtype has the highest peak."""
    assert tflops == peak_tflops(gpu_model(name), dtype)


def test_main_dtype_has_the_most_flops() -> None:
    """Of equal ones it is the first by name, and float32 without any."""
    assert main_dtype(Counts(least_flops={"bfloat16": 2, "int8": 3})) == "int8"
    assert main_dtype(Counts(least_flops={"int8": 2, "bfloat16": 2})) == "bfloat16"
    assert main_dtype(Counts()) == "float32"


@pytest.mark.parametrize("name", known_gpu_models())
def test_every_gpu_is_plausible(name: str) -> None:
    """Each GPU names its source, and no dtype is faster than a smaller one."""
    one = gpu_model(name)

    assert one.source.startswith("NVIDIA ")
    assert one.float16_tflops >= one.bfloat16_tflops >= one.tf32_tflops >= one.float32_tflops > 0
    assert one.float8_tflops >= one.float16_tflops
    assert one.int8_tops >= one.float32_tflops
    assert one.memory_bytes > 10**10
    assert 4 * _MIB <= one.l2_bytes <= 128 * _MIB


def counted(call: Callable[[torch.device], object], model: str = "nvidia-h200") -> Counts:
    """Return the counts of a call, which takes the device."""
    with SimulatedGPU(model, real_up_to=4096) as gpu:
        call(gpu.device)
    return gpu.counts


def test_flops_are_those_of_the_operands_dtype() -> None:
    """An int8 product has an int32 result, the bias of `addmm` is added, and a convolution has its weight's dtype."""

    def call(device: torch.device) -> None:
        torch._int_mm(*(torch.ones(32, 32, dtype=torch.int8, device=device) for _ in range(2)))
        torch.addmm(*(torch.ones(32, 32, dtype=torch.float16, device=device) for _ in range(3)))
        functional.linear(torch.ones(1, 32, device=device), torch.ones(32, 32, device=device))
        images = torch.ones(8, 8, 3, 3, dtype=torch.bfloat16, device=device)
        functional.conv2d(images, images)

    assert counted(call).least_flops == {
        "bfloat16": 2 * 8 * 8 * 8 * 9,
        "float16": 2 * 32**3,
        "float32": 2 * 32 * 32,
        "int8": 2 * 32**3,
    }


def test_quantized_products_have_their_own_peak() -> None:
    """A scaled product of float8 operands and a bfloat16 result counts as float8."""

    def call(device: torch.device) -> None:
        a, b = (torch.empty(64, 64, device=device).to(torch.float8_e4m3fn) for _ in range(2))
        scale = torch.ones((), device=device)
        torch._scaled_mm(a, b.t(), scale, scale, out_dtype=torch.bfloat16)

    assert counted(call).least_flops == {"float8_e4m3fn": 2 * 64**3}


@pytest.mark.parametrize(("queries", "keys", "scores"), [(4, 4, 10), (4, 2, 7), (2, 4, 3)])
def test_causal_attention_leaves_out_the_masked_scores(queries: int, keys: int, scores: int) -> None:
    """Torch's formula counts all scores; a causal kernel computes those up to the diagonal."""

    def call(device: torch.device) -> None:
        query = torch.ones(1, 1, queries, 16, dtype=torch.float16, device=device)
        key = torch.ones(1, 1, keys, 16, dtype=torch.float16, device=device)
        functional.scaled_dot_product_attention(query, key, key, is_causal=True)

    counts = counted(call)
    assert counts.flops == 2 * 2 * queries * keys * 16
    assert counts.least_flops == {"float16": 2 * 2 * scores * 16}


def test_only_what_the_cache_cannot_hold_is_written() -> None:
    """An A100 has 40 MiB of L2 cache; memory that no operation writes as its result does not count."""

    def call(device: torch.device) -> None:
        empty = torch.empty(50 * _MIB, dtype=torch.uint8, device=device)
        empty + 1
        empty[: 40 * _MIB] + 1

    assert counted(call, "nvidia-a100").least_written_bytes == 10 * _MIB


def test_compiled_code_need_not_write() -> None:
    """The bytes of a compiled module are unknown without its kernels; eager code beside it is counted."""

    class Doubling(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x

    module = Doubling()
    x = torch.ones(50 * _MIB, dtype=torch.uint8)

    def written() -> int:
        with on_simulated_gpu(module, gpu_model="nvidia-a100", computes_small=False) as gpu:
            moved = x.to(gpu.device)
            gpu.enter_phase("call")
            module(moved)
            moved + 1
        return gpu.phases["call"].least_written_bytes

    assert written() == 20 * _MIB
    module.compile()
    assert written() == 10 * _MIB
