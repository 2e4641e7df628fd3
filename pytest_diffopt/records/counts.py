"""Exact counts of a call, taken on the simulated GPU."""

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_diffopt.records.denoiser import DenoiserEvidence
from pytest_diffopt.records.memory import MemoryHolder
from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseCounts:
    """Counts of one phase of a call on a GPU; every figure is exact and repeatable.

    Attributes:
        phase: `before the loop`, `step 0`, `steps 1-29` (with equal counts), `after the loop`.
        flops: floating-point operations of matrix products, convolutions and attention; a multiply-add is two.
        operations: operations that launch work on the GPU.
        bytes_to_device: bytes copied over the bus to the GPU.
        bytes_to_host: bytes copied over the bus to the host.
        allocated_bytes: sum of all allocations, each rounded as in CUDA's caching allocator.
        peak_memory_bytes: peak of the allocated bytes, weights included.
    """

    phase: str
    flops: int
    operations: int
    bytes_to_device: int
    bytes_to_host: int
    allocated_bytes: int
    peak_memory_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleCounts:
    """Counts of one part of the pipeline over a whole call, submodules included.

    Attributes:
        module: path, cut to the usual depth (`unet.down_blocks.1`); `outside modules` for work outside of all modules.
        flops: see `PhaseCounts`.
        operations: see `PhaseCounts`.
    """

    module: str
    flops: int
    operations: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CountRecord:
    """All counts of one call on the simulated GPU.

    Attributes:
        gpu_model: the simulated GPU (`nvidia-h200`).
        num_steps: denoise steps.
        phases: counts of each phase, in order; consecutive equal steps are one entry.
        modules: counts of each part.
        attention: number of calls of each attention kernel, keyed like `flash 2x10x4096x64 bfloat16`.
        unmodelled: operations for which the simulated GPU has no model.
        least_ns: lower bound on the time: the simulated GPU's peak rates applied to each phase.
        peak_holders: the lines that held memory at the peak of the call, the largest first.
        denoiser: what the denoisers ran in each step; None without a denoiser or a denoise loop.
    """

    subject: Subject
    gpu_model: str
    num_steps: int
    phases: tuple[PhaseCounts, ...]
    modules: tuple[ModuleCounts, ...]
    attention: Mapping[str, int]
    unmodelled: tuple[str, ...] = ()
    least_ns: float = 0.0
    peak_holders: tuple[MemoryHolder, ...] = ()
    denoiser: DenoiserEvidence | None = None

    @property
    def is_watched(self) -> bool:
        """Whether every step and its denoiser ran operations on the simulated GPU: the evidence for the counts."""
        return all(self.operations_per_phase) and (self.denoiser is None or self.denoiser.is_watched)

    @property
    def operations_per_phase(self) -> tuple[int, ...]:
        """The operations of each phase of the denoise loop, or of the whole call without a loop."""
        steps = [phase.operations for phase in self.phases if phase.phase.startswith("step")]
        return tuple(steps) if self.num_steps else (sum(phase.operations for phase in self.phases),)
