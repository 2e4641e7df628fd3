"""The roofline: a lower bound for the time that the counted work takes on a GPU."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_diffopt.simulated_gpu.cost.gpus import GPUModel
from pytest_diffopt.simulated_gpu.observations import Counts

_TERA, _GIGA = 1e12, 1e9


class Limit(enum.Enum):
    """The resource that limits the time."""

    FLOPS = "FLOPs"
    BYTES = "bytes"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """A lower bound from a GPU's peaks; the measured time is longer.

    Attributes:
        compute_seconds: the FLOPs that no kernel can leave out, each at the peak of its operands' dtype.
        memory_seconds: the bytes that no kernel can avoid to write, at the peak bandwidth; reads are not counted.
    """

    compute_seconds: float
    memory_seconds: float

    @property
    def seconds(self) -> float:
        """The longer of the two times, since they can overlap."""
        return max(self.compute_seconds, self.memory_seconds)

    @property
    def limit(self) -> Limit:
        """The resource of the longer time."""
        return Limit.FLOPS if self.compute_seconds >= self.memory_seconds else Limit.BYTES


def bound_of(counts: Counts, gpu_model: GPUModel) -> Bound:
    """Return the lower bound for one phase."""
    by_dtype = counts.least_flops.items()
    return Bound(
        compute_seconds=sum(flops / (peak_tflops(gpu_model, dtype) * _TERA) for dtype, flops in by_dtype),
        memory_seconds=counts.least_written_bytes / (gpu_model.gigabytes_per_s * _GIGA),
    )


def seconds_of(phases: Iterable[Counts], gpu_model: GPUModel) -> float:
    """Return the lower bound, in seconds, for phases that run one after another; each has its own limit."""
    return sum(bound_of(counts, gpu_model).seconds for counts in phases)


def peak_tflops(gpu_model: GPUModel, dtype: str) -> float:
    """Return a GPU's peak for matrix products and convolutions of a dtype, in 10^12 operations per second.

    float32 uses the TF32 peak, because float32 convolutions run in TF32 by default. A dtype without its own peak uses
    the highest peak, so that the result stays a lower bound.

    Args:
        gpu_model: the GPU.
        dtype: the name of the operands' dtype, such as `bfloat16`.
    """
    peaks = {
        "int8": gpu_model.int8_tops,
        "float16": gpu_model.float16_tflops,
        "bfloat16": gpu_model.bfloat16_tflops,
        "float32": gpu_model.tf32_tflops,
        "float64": gpu_model.float32_tflops,
    }
    if dtype.startswith("float8_"):
        return gpu_model.float8_tflops
    return peaks.get(dtype, max(*peaks.values(), gpu_model.float8_tflops))


def main_dtype(counts: Counts) -> str:
    """Return the dtype with the most FLOPs, of equal ones the first by name; `float32` without any."""
    return max(sorted(counts.least_flops), key=counts.least_flops.__getitem__, default="float32")
