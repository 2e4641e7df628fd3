"""The roofline: a lower bound for the time that the counted work takes on a GPU."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

import torch

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
        compute_seconds: the counted FLOPs at the peak of the fastest dtype among the parameters.
        memory_seconds: writing each new tensor once at the peak bandwidth; reads are not counted.
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


def bound_of(counts: Counts, gpu_model: GPUModel, dtype: torch.dtype) -> Bound:
    """Return the lower bound for one phase."""
    return Bound(
        compute_seconds=counts.flops / (peak_tflops(gpu_model, dtype) * _TERA),
        memory_seconds=counts.allocated_bytes / (gpu_model.gigabytes_per_s * _GIGA),
    )


def seconds_of(phases: Iterable[Counts], gpu_model: GPUModel, dtype: torch.dtype) -> float:
    """Return the lower bound, in seconds, for phases that run one after another; each has its own limit."""
    return sum(bound_of(counts, gpu_model, dtype).seconds for counts in phases)


def peak_tflops(gpu_model: GPUModel, dtype: torch.dtype) -> float:
    """Return a GPU's peak for matrix products and convolutions of a dtype, in TFLOP/s.

    float32 uses the TF32 peak, because float32 convolutions run in TF32 by default. A dtype without its own peak uses
    the highest peak, so that the result stays a lower bound.
    """
    peaks = {
        torch.float16: gpu_model.float16_tflops,
        torch.bfloat16: gpu_model.bfloat16_tflops,
        torch.float32: gpu_model.tf32_tflops,
        torch.float64: gpu_model.float32_tflops,
    }
    return peaks.get(dtype, max(peaks.values()))


def fastest_dtype(dtypes: Iterable[torch.dtype], gpu_model: GPUModel) -> torch.dtype:
    """Return the dtype with the highest peak; float32 if there is no dtype."""
    in_order = sorted(dtypes, key=str) or [torch.float32]
    return max(in_order, key=lambda dtype: peak_tflops(gpu_model, dtype))
