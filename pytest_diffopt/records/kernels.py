"""Kernels, library calls, CUDA graphs, copies and allocations of a call, by phase."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_diffopt.records.denoiser import DenoiserEvidence
from pytest_diffopt.records.subject import Subject
from pytest_diffopt.records.timeline import TimelineRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseKernels:
    """What one phase of a call launched; every figure is exact and repeatable.

    Attributes:
        phase: `before the loop`, `step 0`, `steps 1-29` (with equal figures), `after the loop`, or `the call`.
        kernels: launches of each kernel by its readable name, those inside CUDA graphs included.
        library_calls: calls of cuBLAS, cuDNN and the like by function and sizes, those inside CUDA graphs included.
        graph_launches: launches of CUDA graphs.
        launches_in_graphs: kernels and library calls that CUDA graphs launched.
        copies: number of copies by direction (`host to device`).
        copied_bytes: bytes of the copies by direction.
        fills: memory fills.
        filled_bytes: bytes of the fills.
        allocations: calls that allocate or free memory past the caching allocator, by function (`cudaMalloc`).
        peak_allocated_bytes: peak of the memory of tensors above what was allocated before the call.
        peak_reserved_bytes: peak of the caching allocator's memory above what was reserved before the call.
    """

    phase: str
    kernels: Mapping[str, int]
    library_calls: Mapping[str, int]
    graph_launches: int = 0
    launches_in_graphs: int = 0
    copies: Mapping[str, int] = field(default_factory=dict)
    copied_bytes: Mapping[str, int] = field(default_factory=dict)
    fills: int = 0
    filled_bytes: int = 0
    allocations: Mapping[str, int] = field(default_factory=dict)
    peak_allocated_bytes: int = 0
    peak_reserved_bytes: int = 0

    @property
    def launches(self) -> int:
        """Kernels and library calls."""
        return sum(self.kernels.values()) + sum(self.library_calls.values())

    def sums(self) -> dict[str, int]:
        """Return the figures that can be compared between versions: sums, sizes and CUDA graphs."""
        return {
            "launches": self.launches,
            "launches outside graphs": self.launches - self.launches_in_graphs,
            "launches in graphs": self.launches_in_graphs,
            "graph launches": self.graph_launches,
            "copies": sum(self.copies.values()),
            "copied bytes": sum(self.copied_bytes.values()),
            "fills": self.fills,
            "filled bytes": self.filled_bytes,
            "allocations past the cache": sum(self.allocations.values()),
            "peak memory allocated": self.peak_allocated_bytes,
            "peak memory reserved": self.peak_reserved_bytes,
        }

    def all_figures(self) -> dict[str, int]:
        """Return every figure; kernels and library calls under their names."""
        return {
            "launches": self.launches,
            "graph launches": self.graph_launches,
            "launches in graphs": self.launches_in_graphs,
            **self.kernels,
            **self.library_calls,
            **{f"copies {direction}": number for direction, number in self.copies.items()},
            **{f"bytes copied {direction}": number for direction, number in self.copied_bytes.items()},
            **{f"calls of {function}": number for function, number in self.allocations.items()},
            "fills": self.fills,
            "filled bytes": self.filled_bytes,
            "peak memory allocated": self.peak_allocated_bytes,
            "peak memory reserved": self.peak_reserved_bytes,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelRecord:
    """What one warm call launched.

    Attributes:
        seen_by: the device that counted (`null NVIDIA H200`), or the one that cannot count.
        num_steps: denoise steps; 0 without a denoise loop.
        phases: what each phase launched, in order, consecutive equal steps as one; empty where the device cannot count.
        is_settled: whether two calls in a row launched the same; False if the calls still changed after several.
        unmodelled: entry points of CUDA that were called and whose effects are not modelled.
        denoiser: what the denoisers launched in each step; None without a denoiser or a denoise loop.
        timeline: the estimated timeline of further calls; None unless the test asks for it.
    """

    subject: Subject
    seen_by: str
    num_steps: int
    phases: tuple[PhaseKernels, ...]
    is_settled: bool = True
    unmodelled: tuple[str, ...] = ()
    denoiser: DenoiserEvidence | None = None
    timeline: TimelineRecord | None = None

    @property
    def launches_per_phase(self) -> tuple[int, ...]:
        """The launches of each phase of the denoise loop, or of the whole call without a loop: the evidence."""
        steps = [phase.launches for phase in self.phases if phase.phase.startswith("step")]
        return tuple(steps) if self.num_steps else (sum(phase.launches for phase in self.phases),)

    @property
    def is_watched(self) -> bool:
        """Whether every step and its denoiser launched something on a device that counts."""
        is_counted = bool(self.phases) and all(self.launches_per_phase)
        return is_counted and (self.denoiser is None or self.denoiser.is_watched)


@dataclass(frozen=True, kw_only=True, slots=True)
class FewerKernelsRecord:
    """What two pipelines launched in the same call.

    Attributes:
        subject: the pipeline that must launch less.
        counted: what it launched.
        reference: what the other one launched.
    """

    subject: Subject
    counted: KernelRecord
    reference: KernelRecord
