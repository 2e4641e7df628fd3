"""A model of the device's time: the roofline of each operation on a GPU.

Everything that it returns is a lower bound for an operation whose tensors are in the GPU's memory. One whose tensors
are in the L2 cache can be faster, and so can a whole call; `simulated_gpu/cost/roofline.py` is a lower bound for those.
For an operation with `F` floating-point operations (torch's formulas, `torch.utils.flop_counter`) and tensors of `B`
bytes:

    t = max(F / peak FLOP/s of the dtype, B / memory bandwidth)

which is the roofline model of S. Williams, A. Waterman and D. Patterson, "Roofline: an insightful visual performance
model for multicore architectures", Communications of the ACM 52 (2009), 65-76. The peaks are NVIDIA's, with their
sources in `simulated_gpu/cost/gpus.py`. `B` counts each argument read once and each result written once. Of a kernel of
Triton's `B` is that of the tensors that it is given, and its arithmetic is not counted.
"""

from pytest_diffopt._torch_private.flop_formulas import flops_of
from pytest_diffopt.null_gpu.clock import set_copy_rates, set_durations_ns
from pytest_diffopt.null_gpu.values.work import Work, known_work, work_of
from pytest_diffopt.simulated_gpu.cost.gpus import GPUModel
from pytest_diffopt.simulated_gpu.cost.roofline import peak_tflops

_TERA, _GIGA, _NS_PER_S = 1e12, 1e9, 1e9
# 16 lanes in one direction: 8, 16 and 32 GT/s with 128b/130b encoding (PCI Express base specification, 3.0 to 5.0).
_PCIE_GIGABYTES_PER_S = {7: 15.75, 8: 31.5, 9: 63.0, 10: 63.0, 12: 63.0}


def work_ns(work: Work, gpu_model: GPUModel) -> int:
    """Return the least time of each piece of work of one operation, in nanoseconds, at least 1.

    The operation's time is divided evenly: how it is shared among its kernels is not known.

    Args:
        work: the call, with its shapes.
        gpu_model: the GPU.
    """
    seconds = max(_arithmetic_seconds(work, gpu_model), work.moved_bytes / (gpu_model.gigabytes_per_s * _GIGA))
    return max(1, round(_NS_PER_S * seconds / work.pieces))


def set_device_times(gpu_model: GPUModel) -> None:
    """Give the virtual clock the model of all work that was learned, and of copies.

    Args:
        gpu_model: the GPU.
    """
    for first in known_work():
        work = work_of(first)
        nanoseconds = work_ns(work, gpu_model)
        set_durations_ns(dict.fromkeys(range(first, first + work.pieces), nanoseconds))
    set_copy_rates(
        bus_bytes_per_s=_PCIE_GIGABYTES_PER_S[gpu_model.capability[0]] * _GIGA,
        memory_bytes_per_s=gpu_model.gigabytes_per_s * _GIGA,
    )


def _arithmetic_seconds(work: Work, gpu_model: GPUModel) -> float:
    if work.operation is None:
        return 0.0
    flops = flops_of(work.operation, work.args, work.kwargs, work.result)
    return flops.least / (peak_tflops(gpu_model, str(work.dtype).removeprefix("torch.")) * _TERA)
