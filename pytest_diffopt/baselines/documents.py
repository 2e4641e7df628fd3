"""The accepted documents: the content of a baseline file.

A new kind of baseline is a subclass of `Baseline` with its concern, schema version and figures; the codec and the store
need no change. Every field is required in the file: a missing figure would guard nothing.
"""

from typing import Annotated, ClassVar, Self, TypedDict

from msgspec import Meta, Struct, convert
from msgspec.structs import replace

from pytest_diffopt.baselines.figures import (
    CallFigures,
    Figure,
    Floor,
    Fraction,
    KernelFigures,
    ModuleFigures,
    PhaseFigures,
    RegionFigures,
    Text,
    figures_of,
    phase_figures,
)
from pytest_diffopt.records import (
    CompileCountRecord,
    Concern,
    CountRecord,
    Device,
    Environment,
    KernelRecord,
    LatencyRecord,
    MemoryRecord,
    Subject,
    Weights,
)

#: The number of sessions that are kept, so that a file stays readable in a diff. The oldest one is dropped.
MAX_SESSIONS = 5


class AcceptedSubject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured; see `records.Subject`."""

    pipeline: Text
    scale: str
    recipe: str
    weights: Weights
    device: Device

    @classmethod
    def of(cls, subject: Subject) -> Self:
        """Copy a record's subject."""
        return cls(
            pipeline=subject.pipeline,
            scale=subject.scale,
            recipe=subject.recipe,
            weights=subject.weights,
            device=subject.device,
        )


class AcceptedEnvironment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine, which must be the same to compare, and the versions, which are only reported if they differ."""

    device_name: Text
    versions: dict[str, str]

    @classmethod
    def of(cls, environment: Environment) -> Self:
        """Copy the parts of an environment that matter for a comparison."""
        return cls(device_name=environment.device_name, versions=dict(environment.versions))


class Provenance(TypedDict):
    """The fields that every document has; see `Baseline`."""

    case: str
    subject: AcceptedSubject
    environment: AcceptedEnvironment
    reason: str


def provenance(subject: Subject, *, case: str, environment: Environment, reason: str) -> Provenance:
    """Return the fields that every document has, for a subject that was measured in this environment."""
    return Provenance(
        case=case,
        subject=AcceptedSubject.of(subject),
        environment=AcceptedEnvironment.of(environment),
        reason=reason,
    )


class Baseline(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The common fields of every baseline.

    Attributes:
        concern: the concern of the figures; part of the file.
        schema_version: the only version that can be read; part of the file.
        case: the test that owns the baseline, as pytest names it (`test_latency[sdxl-bf16]`).
        subject: what was measured.
        environment: the machine and the versions.
        reason: why these figures were accepted.
    """

    concern: ClassVar[Concern]
    schema_version: ClassVar[int]

    case: Text
    subject: AcceptedSubject
    environment: AcceptedEnvironment
    reason: Text


class LatencySession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The raw samples of one session, in the order of their measurement."""

    samples_ns: Annotated[tuple[Figure, ...], Meta(min_length=1)]


class LatencyBaseline(Baseline, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The accepted latency of a call.

    Attributes:
        num_steps: denoise steps in one call; 0 without a denoise loop.
        sessions: raw samples of several sessions, the oldest first; one session does not show how much sessions differ.
        margin: the allowed relative slowdown, as a fraction.
        floor_ns: the allowed absolute slowdown, for short calls.
        counts: the counts of a call on the simulated GPU in the last session; `null` if it was not counted.
    """

    concern: ClassVar[Concern] = Concern.LATENCY
    schema_version: ClassVar[int] = 2

    num_steps: Annotated[int, Meta(ge=0)]
    sessions: Annotated[tuple[LatencySession, ...], Meta(min_length=1, max_length=MAX_SESSIONS)]
    margin: Fraction
    floor_ns: Floor
    counts: CallFigures | None

    @classmethod
    def from_record(  # noqa: PLR0913 - each is a field of the file, and none has a valid default
        cls, record: LatencyRecord, *, case: str, environment: Environment, margin: float, floor_ns: int, reason: str
    ) -> Self:
        """Accept a record as the first session."""
        return cls(
            **provenance(record.subject, case=case, environment=environment, reason=reason),
            num_steps=record.num_steps,
            sessions=(LatencySession(samples_ns=record.samples_ns),),
            margin=margin,
            floor_ns=floor_ns,
            counts=CallFigures.of(record.counts),
        )

    def with_session(self, record: LatencyRecord, *, environment: Environment) -> Self:
        """Accept another session of the same subject; the oldest of too many sessions is dropped."""
        sessions = (*self.sessions, LatencySession(samples_ns=record.samples_ns))
        return replace(
            self,
            sessions=sessions[-MAX_SESSIONS:],
            environment=AcceptedEnvironment.of(environment),
            counts=CallFigures.of(record.counts),
        )


class MemoryBaseline(Baseline, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The accepted peak memory of a call.

    Attributes:
        peak_allocated_bytes: the peak of the memory of tensors.
        peak_reserved_bytes: the peak of the caching allocator's memory; `null` without such an allocator.
        seen_by: the instrument; figures of different instruments are not compared.
        margin: the allowed relative growth, as a fraction.
        floor_bytes: the allowed absolute growth.
    """

    concern: ClassVar[Concern] = Concern.MEMORY
    schema_version: ClassVar[int] = 1

    peak_allocated_bytes: Figure
    peak_reserved_bytes: Figure | None
    seen_by: Text
    margin: Fraction
    floor_bytes: Floor

    @classmethod
    def from_record(  # noqa: PLR0913 - each is a field of the file, and none has a valid default
        cls, record: MemoryRecord, *, case: str, environment: Environment, margin: float, floor_bytes: int, reason: str
    ) -> Self:
        """Accept a record; the 0 of a device without a caching allocator becomes `null`."""
        return cls(
            **provenance(record.subject, case=case, environment=environment, reason=reason),
            peak_allocated_bytes=record.peak_allocated_bytes,
            peak_reserved_bytes=record.peak_reserved_bytes or None,
            seen_by=record.seen_by,
            margin=margin,
            floor_bytes=floor_bytes,
        )


class CountBaseline(Baseline, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The accepted counts of a call on the simulated GPU; they are compared exactly.

    Attributes:
        gpu_model: the simulated GPU.
        num_steps: denoise steps in one call.
        phases: the figures of each phase.
        modules: the figures of each module, to locate a change.
        attention: the number of calls of each attention kernel.
        unmodelled: operations that were not counted.
    """

    concern: ClassVar[Concern] = Concern.COUNTS
    schema_version: ClassVar[int] = 1

    gpu_model: Text
    num_steps: Annotated[int, Meta(ge=0)]
    phases: Annotated[dict[str, PhaseFigures], Meta(min_length=1)]
    modules: dict[str, ModuleFigures]
    attention: dict[str, Figure]
    unmodelled: tuple[str, ...]

    @classmethod
    def from_record(cls, record: CountRecord, *, case: str, environment: Environment, reason: str) -> Self:
        """Accept a record."""
        return cls(
            **provenance(record.subject, case=case, environment=environment, reason=reason),
            gpu_model=record.gpu_model,
            num_steps=record.num_steps,
            phases=phase_figures(record),
            modules={counts.module: convert(figures_of(counts), ModuleFigures) for counts in record.modules},
            attention=dict(record.attention),
            unmodelled=record.unmodelled,
        )


class KernelBaseline(Baseline, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a call launches on the null GPU; compared exactly under the same torch, Triton and diffusers.

    Attributes:
        num_steps: denoise steps in one call.
        phases: the figures of each phase.
        unmodelled: entry points of CUDA that were called and whose effects are not modelled.
    """

    concern: ClassVar[Concern] = Concern.KERNELS
    schema_version: ClassVar[int] = 1

    num_steps: Annotated[int, Meta(ge=0)]
    phases: Annotated[dict[str, KernelFigures], Meta(min_length=1)]
    unmodelled: tuple[str, ...]

    @classmethod
    def from_record(cls, record: KernelRecord, *, case: str, environment: Environment, reason: str) -> Self:
        """Accept a record."""
        return cls(
            **provenance(record.subject, case=case, environment=environment, reason=reason),
            num_steps=record.num_steps,
            phases={phase.phase: KernelFigures.of(phase) for phase in record.phases},
            unmodelled=record.unmodelled,
        )


class CompileBaseline(Baseline, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The accepted compile counts of a pipeline.

    Attributes:
        regions: the figures of each compiled function.
    """

    concern: ClassVar[Concern] = Concern.COMPILATION
    schema_version: ClassVar[int] = 2

    regions: Annotated[dict[str, RegionFigures], Meta(min_length=1)]

    @classmethod
    def from_record(cls, record: CompileCountRecord, *, case: str, environment: Environment, reason: str) -> Self:
        """Accept a record."""
        return cls(
            **provenance(record.subject, case=case, environment=environment, reason=reason),
            regions={counts.region: convert(figures_of(counts), RegionFigures) for counts in record.regions},
        )
