"""The figures that accepted documents hold, and what they may be."""

from typing import Annotated, Self

from msgspec import Meta, Struct, convert, to_builtins

from pytest_diffopt.records import CountRecord, ModuleCounts, PhaseCounts, RegionCounts, Subject

Text = Annotated[str, Meta(min_length=1)]
#: A figure that was measured: zero would mean that nothing was.
Figure = Annotated[int, Meta(gt=0)]
#: A tolerance that may be switched off with zero.
Floor = Annotated[int, Meta(ge=0)]
#: 0.05 allows 5 %. Above 1 somebody meant percent.
Fraction = Annotated[float, Meta(gt=0, le=1)]


class PhaseFigures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The counts of one phase, as `records.PhaseCounts` describes them."""

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


class RegionFigures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What compiling one function came to, as `records.RegionCounts` describes it."""

    graphs: Floor
    breaks: Floor
    recompiles: Floor
    operations: Floor
    guards: Floor


class CallFigures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a call did on the simulated GPU when its time was accepted: to say why it takes another time now.

    Attributes:
        gpu_model: the simulated GPU.
        phases: the figures of each phase.
        attention: how often each attention kernel would run.
    """

    gpu_model: Text
    phases: Annotated[dict[str, PhaseFigures], Meta(min_length=1)]
    attention: dict[str, Figure]

    @classmethod
    def of(cls, record: CountRecord | None) -> Self | None:
        """Copy what was counted; None where nobody did."""
        if record is None:
            return None
        phases = {counts.phase: convert(figures_of(counts), PhaseFigures) for counts in record.phases}
        return cls(gpu_model=record.gpu_model, phases=phases, attention=dict(record.attention))

    def as_record(self, subject: Subject) -> CountRecord:
        """Return the record that they were copied from, without what was not kept."""
        phases = tuple(PhaseCounts(phase=name, **figures_of(figures)) for name, figures in self.phases.items())
        return CountRecord(
            subject=subject, gpu_model=self.gpu_model, num_steps=0, phases=phases, modules=(), attention=self.attention
        )


_Counts = PhaseCounts | ModuleCounts | RegionCounts | PhaseFigures | ModuleFigures | RegionFigures


def figures_of(counts: _Counts) -> dict[str, int]:
    """Return the counts of a phase, module or compiled function by name, from a record or from a document."""
    return {name: value for name, value in to_builtins(counts).items() if isinstance(value, int)}
