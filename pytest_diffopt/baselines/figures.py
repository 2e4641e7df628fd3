"""The figures of accepted documents and their valid ranges."""

from typing import Annotated, Self

from msgspec import Meta, Struct, convert, to_builtins

from pytest_diffopt.records import CountRecord, ModuleCounts, PhaseCounts, PhaseKernels, RegionCounts, Subject

Text = Annotated[str, Meta(min_length=1)]
#: A measured figure; zero would mean that nothing was measured.
Figure = Annotated[int, Meta(gt=0)]
#: A count, or a tolerance that zero disables.
Floor = Annotated[int, Meta(ge=0)]
#: A tolerance: 0.05 allows 5 %. A value above 1 is a percentage by mistake.
Fraction = Annotated[float, Meta(gt=0, le=1)]


class PhaseFigures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The counts of one phase; see `records.PhaseCounts`."""

    flops: Floor
    operations: Floor
    bytes_to_device: Floor
    bytes_to_host: Floor
    allocated_bytes: Floor
    peak_memory_bytes: Figure


class ModuleFigures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The counts of one part of the pipeline."""

    flops: Floor
    operations: Floor


class KernelFigures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one phase launched; see `records.PhaseKernels`."""

    kernels: dict[str, Figure]
    library_calls: dict[str, Figure]
    graph_launches: Floor
    launches_in_graphs: Floor
    copies: dict[str, Figure]
    copied_bytes: dict[str, Floor]
    fills: Floor
    filled_bytes: Floor
    allocations: dict[str, Figure]
    peak_allocated_bytes: Floor
    peak_reserved_bytes: Floor

    @classmethod
    def of(cls, phase: PhaseKernels) -> Self:
        """Copy a record's phase."""
        return convert({name: value for name, value in to_builtins(phase).items() if name != "phase"}, cls)

    def as_record(self, phase: str) -> PhaseKernels:
        """Return the record of a phase with these figures."""
        return PhaseKernels(phase=phase, **to_builtins(self))


class RegionFigures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The compile counts of one function; see `records.RegionCounts`."""

    graphs: Floor
    breaks: Floor
    recompiles: Floor
    operations: Floor
    guards: Floor
    symbolic_sizes: Floor
    generated_kernels: Floor
    external_calls: Floor
    fallbacks: Floor
    reused_buffers: Floor


class CallFigures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The counts of a call on the simulated GPU when its latency was accepted, to explain a later change.

    Attributes:
        gpu_model: the simulated GPU.
        phases: the figures of each phase.
        attention: the number of calls of each attention kernel.
    """

    gpu_model: Text
    phases: Annotated[dict[str, PhaseFigures], Meta(min_length=1)]
    attention: dict[str, Figure]

    @classmethod
    def of(cls, record: CountRecord | None) -> Self | None:
        """Copy a record's counts; None without a record."""
        if record is None:
            return None
        return cls(gpu_model=record.gpu_model, phases=phase_figures(record), attention=dict(record.attention))

    def as_record(self, subject: Subject) -> CountRecord:
        """Return a record with these counts, without steps and modules, which are not stored."""
        phases = tuple(PhaseCounts(phase=name, **figures_of(figures)) for name, figures in self.phases.items())
        return CountRecord(
            subject=subject, gpu_model=self.gpu_model, num_steps=0, phases=phases, modules=(), attention=self.attention
        )


def phase_figures(record: CountRecord) -> dict[str, PhaseFigures]:
    """Return the figures of each phase of a record."""
    return {counts.phase: convert(figures_of(counts), PhaseFigures) for counts in record.phases}


_Counts = PhaseCounts | ModuleCounts | RegionCounts | PhaseFigures | ModuleFigures | RegionFigures


def figures_of(counts: _Counts) -> dict[str, int]:
    """Return the counts of a phase, module or compiled function by name, from a record or a document."""
    return {name: value for name, value in to_builtins(counts).items() if isinstance(value, int)}
