"""Attention is one operation, with the kernel that CUDA would choose."""

import math

import pytest
import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import flex_attention

from pytest_diffopt._torch_private.version_gate import torch_release
from pytest_diffopt.simulated_gpu import AttentionKernel, SimulatedGPU

FLASH, EFFICIENT, CUDNN, MATH = (
    AttentionKernel.FLASH,
    AttentionKernel.EFFICIENT,
    AttentionKernel.CUDNN,
    AttentionKernel.MATH,
)


def attend(gpu_model: str, width: int, dtype: torch.dtype, *, masked: bool = False) -> SimulatedGPU:
    """Run attention of (2, 4, 32, width) on a GPU."""
    gpu = SimulatedGPU(gpu_model)
    with gpu, torch.no_grad():
        q, k, v = (torch.ones(2, 4, 32, width, device=gpu.device, dtype=dtype) for _ in range(3))
        mask = torch.zeros(2, 1, 32, 32, device=gpu.device, dtype=dtype) if masked else None
        gpu.enter_phase("attention")
        out = functional.scaled_dot_product_attention(q, k, v, mask)

        assert out.shape == (2, 4, 32, width)
    return gpu


@pytest.mark.parametrize(
    ("gpu_model", "width", "dtype", "masked", "kernel", "reason"),
    [
        ("nvidia-a100", 64, torch.float16, False, FLASH, ""),
        ("nvidia-a100", 64, torch.bfloat16, False, FLASH, ""),
        ("nvidia-a100", 40, torch.float16, False, FLASH, ""),
        ("nvidia-a100", 64, torch.float16, True, EFFICIENT, "flash: it takes no mask"),
        ("nvidia-a100", 64, torch.float32, False, EFFICIENT, "flash: it takes float16 and bfloat16, not float32"),
        ("nvidia-a100", 512, torch.float16, False, EFFICIENT, "flash: it takes one head dimension up to 256"),
        (
            "nvidia-a100",
            6,
            torch.float32,
            False,
            MATH,
            (
                "flash: it takes float16 and bfloat16, not float32; "
                "efficient: it takes head dimensions that are multiples of 4"
            ),
        ),
        (
            "nvidia-t4",
            64,
            torch.float16,
            False,
            EFFICIENT,
            "flash: it needs compute capability 8.0, this GPU has 7.5",
        ),
        (
            "nvidia-t4",
            64,
            torch.bfloat16,
            False,
            MATH,
            (
                "flash: it needs compute capability 8.0, this GPU has 7.5; "
                "efficient: it does not take bfloat16 on this GPU"
            ),
        ),
        ("nvidia-h200", 64, torch.float16, False, CUDNN, ""),
        ("nvidia-h200", 64, torch.float16, True, CUDNN, ""),
        (
            "nvidia-h200",
            12,
            torch.float16,
            False,
            FLASH,
            "cudnn: it takes head dimensions that are multiples of 8, up to 256",
        ),
        (
            "nvidia-b200",
            192,
            torch.float16,
            False,
            *(
                (CUDNN, "")
                if torch_release() >= (2, 14)
                else (FLASH, "cudnn: it takes head dimensions that are multiples of 8, up to 128")
            ),
        ),
        # without tensor cores, float32 needs no alignment
        (
            "nvidia-t4",
            33,
            torch.float32,
            False,
            EFFICIENT,
            "flash: it needs compute capability 8.0, this GPU has 7.5",
        ),
    ],
)
def test_kernel(  # noqa: PLR0913, PLR0917 - one argument for each column of the table
    gpu_model: str,
    width: int,
    dtype: torch.dtype,
    masked: bool,  # noqa: FBT001
    kernel: AttentionKernel,
    reason: str,
) -> None:
    """The kernel is torch's choice, and the record has the reasons against faster ones."""
    (choice,) = attend(gpu_model, width, dtype, masked=masked).attention

    assert (choice.kernel, choice.reason) == (kernel, reason)
    assert (choice.query_shape, choice.count, choice.has_mask) == ((2, 4, 32, width), 1, masked)


def test_fused_kernels_are_one_operation() -> None:
    """A fused kernel is one launch and never stores the scores; the math kernel is several and stores them."""
    fused = attend("nvidia-a100", 64, torch.float16).phases["attention"]
    with sdpa_kernel(SDPBackend.MATH):
        plain = attend("nvidia-a100", 64, torch.float16).phases["attention"]

    assert fused.operations == 1
    assert plain.operations > 5
    assert fused.flops == plain.flops == 2 * 2 * 2 * 4 * 32 * 32 * 64
    assert fused.allocated_bytes < 2 * 4 * 32 * 64 * 2 + 4096
    assert plain.allocated_bytes > 2 * fused.allocated_bytes


@pytest.mark.parametrize(("backend", "copies"), [(SDPBackend.CUDNN_ATTENTION, 0), (SDPBackend.EFFICIENT_ATTENTION, 1)])
@pytest.mark.parametrize("length", [1000, 1001])
def test_only_the_memory_efficient_kernel_aligns_a_mask(backend: SDPBackend, copies: int, length: int) -> None:
    """A mask whose rows do not start at multiples of 8 elements is copied for it: 2 MB for 1001 x 1001 tokens."""
    gpu = SimulatedGPU("nvidia-h200", real_up_to=0)
    with gpu, torch.no_grad(), sdpa_kernel(backend):
        q = torch.ones(1, 1, length, 64, device=gpu.device, dtype=torch.bfloat16)
        mask = torch.zeros(1, 1, length, length, device=gpu.device, dtype=torch.bfloat16)
        before = gpu.live_memory_bytes
        gpu.enter_phase("attention")
        functional.scaled_dot_product_attention(q, q, q, mask)

    copied_bytes = gpu.phases["attention"].peak_memory_bytes - before - q.nbytes
    assert copied_bytes // mask.nbytes == (copies if length % 8 else 0)


def test_sdpa_kernel_is_respected() -> None:
    """`sdpa_kernel` sets the kernels and their order; if none is left, the error is torch's."""
    with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
        assert attend("nvidia-a100", 64, torch.float16).attention[0].kernel is EFFICIENT
    with sdpa_kernel([SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION], set_priority=True):
        assert attend("nvidia-a100", 64, torch.float16).attention[0].kernel is CUDNN
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION), pytest.raises(RuntimeError, match="No available kernel"):
        attend("nvidia-a100", 64, torch.float32)


@pytest.mark.parametrize("gpu_model", ["nvidia-a100", "nvidia-h200", "nvidia-t4"])
@pytest.mark.parametrize("kind", ["plain", "mask", "causal", "groups"])
def test_values_are_the_cpus(gpu_model: str, kind: str) -> None:
    """If the values are kept, attention returns the CPU's values with every kernel."""
    torch.manual_seed(0)
    query, key = torch.randn(2, 4, 12, 8), torch.randn(2, 2 if kind == "groups" else 4, 12, 8)
    mask = torch.rand(2, 1, 12, 12) > 0.2 if kind == "mask" else None
    options = {"is_causal": kind == "causal", "enable_gqa": kind == "groups"}
    expected = functional.scaled_dot_product_attention(query, key, key, mask, **options)
    with SimulatedGPU(gpu_model, real_up_to=math.inf) as gpu:
        tensors = [one.to(gpu.device) if one is not None else None for one in (query, key, key, mask)]
        actual = functional.scaled_dot_product_attention(*tensors, **options).cpu()  # type: ignore[arg-type]

    torch.testing.assert_close(actual, expected)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_runs() -> None:
    """Uncompiled FlexAttention materializes its scores, as on CUDA."""
    torch.manual_seed(0)
    host = torch.randn(1, 2, 16, 8)
    expected = functional.scaled_dot_product_attention(host, host, host)
    with SimulatedGPU() as gpu, torch.no_grad():
        q = host.to(gpu.device)
        actual = flex_attention(q, q, q).cpu()

    torch.testing.assert_close(actual, expected)
