"""The accepted documents: what a baseline file may hold, and nothing else.

A new kind of baseline is one more subclass of `Baseline`: it names its concern, its schema version and its figures. The
codec and the store then know it. Every field is required in the file: a figure that is left out would guard nothing.
"""

from typing import Annotated, ClassVar, Self

from msgspec import Meta, Struct, convert
from msgspec.structs import replace

from pytest_diffopt.baselines.figures import (
    CallFigures,
    Figure,
    Floor,
    Fraction,
    ModuleFigures,
    PhaseFigures,
    RegionFigures,
    Text,
    figures_of,
)
from pytest_diffopt.records import (
    CompileCountRecord,
    Concern,
    CountRecord,
    Device,
    Environment,
    LatencyRecord,
    MemoryRecord,
    Subject,
    Weights,
)

#: So many sessions are kept; the oldest leaves when one more is accepted, so that a file stays readable in a diff.
MAX_SESSIONS = 5


class AcceptedSubject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured, as `records.Subject` describes it."""

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
    """The machine, which must be the same to compare, and the versions, which are only told when they differ."""

    device_name: Text
    versions: dict[str, str]

    @classmethod
    def of(cls, environment: Environment) -> Self:
        """Copy what matters for a comparison."""
        return cls(device_name=environment.device_name, versions=dict(environment.versions))


class Baseline(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every baseline holds.

    Attributes:
        concern: what the figures are about; stands in the file beside them.
        schema_version: the only version of this document that can be read; stands in the file beside it.
        case: the test that owns it, as pytest names it (`test_latency[sdxl-bf16]`).
        subject: what was measured.
        environment: on which machine, with which versions.
        reason: why these figures were accepted.
    """

    concern: ClassVar[Concern]
    schema_version: ClassVar[int]

    case: Text
    subject: AcceptedSubject
    environment: AcceptedEnvironment
    reason: Text


class LatencySession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The raw samples of one session, in the order in which they were taken."""

    samples_ns: Annotated[tuple[Figure, ...], Meta(min_length=1)]


class LatencyBaseline(Baseline, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a call may take.

    Attributes:
        num_steps: denoise steps in one call; 0 when it has no denoise loop.
        sessions: raw samples of several sessions, the oldest first: one session does not know how much sessions differ.
        margin: the relative slowdown that is still allowed, as a fraction.
        floor_ns: a slowdown of fewer nanoseconds is allowed too, however much of a short call it is.
        counts: what a call did on the simulated GPU in the last session; `null` where nobody counted.
    """

    concern: ClassVar[Concern] = Concern.LATENCY
    schema_version: ClassVar[int] = 2

    num_steps: Annotated[int, Meta(ge=0)]
    sessions: Annotated[tuple[LatencySession, ...], Meta(min_length=1, max_length=MAX_SESSIONS)]
    margin: Fraction
    floor_ns: Floor
    counts: CallFigures | None

    @classmethod
    def from_record(  # noqa: PLR0913 - each is a figure of the file, and none has a default that would be right
        cls, record: LatencyRecord, *, case: str, environment: Environment, margin: float, floor_ns: int, reason: str
    ) -> Self:
        """Accept a record as the first session."""
        return cls(
            case=case,
            subject=AcceptedSubject.of(record.subject),
            environment=AcceptedEnvironment.of(environment),
            reason=reason,
            num_steps=record.num_steps,
            sessions=(LatencySession(samples_ns=record.samples_ns),),
            margin=margin,
            floor_ns=floor_ns,
            counts=CallFigures.of(record.counts),
        )

    def with_session(self, record: LatencyRecord, *, environment: Environment) -> Self:
        """Accept one more session of the same subject; the oldest leaves when there are too many."""
        sessions = (*self.sessions, LatencySession(samples_ns=record.samples_ns))
        return replace(
            self,
            sessions=sessions[-MAX_SESSIONS:],
            environment=AcceptedEnvironment.of(environment),
            counts=CallFigures.of(record.counts),
        )


class MemoryBaseline(Baseline, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much memory a call may hold at its peak.

    Attributes:
        peak_allocated_bytes: held by tensors.
        peak_reserved_bytes: held by the caching allocator; `null` where there is no such allocator.
        seen_by: the instrument; figures of two instruments are not compared.
        margin: the relative growth that is still allowed, as a fraction.
        floor_bytes: a growth of fewer bytes is allowed too.
    """

    concern: ClassVar[Concern] = Concern.MEMORY
    schema_version: ClassVar[int] = 1

    peak_allocated_bytes: Figure
    peak_reserved_bytes: Figure | None
    seen_by: Text
    margin: Fraction
    floor_bytes: Floor

    @classmethod
    def from_record(  # noqa: PLR0913 - each is a figure of the file, and none has a default that would be right
        cls, record: MemoryRecord, *, case: str, environment: Environment, margin: float, floor_bytes: int, reason: str
    ) -> Self:
        """Accept a record; the 0 of a device without a caching allocator becomes `null`."""
        return cls(
            case=case,
            subject=AcceptedSubject.of(record.subject),
            environment=AcceptedEnvironment.of(environment),
            reason=reason,
            peak_allocated_bytes=record.peak_allocated_bytes,
            peak_reserved_bytes=record.peak_reserved_bytes or None,
            seen_by=record.seen_by,
            margin=margin,
            floor_bytes=floor_bytes,
        )


class CountBaseline(Baseline, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a call does on the simulated GPU, to the last operation.

    Attributes:
        gpu_model: the simulated GPU.
        num_steps: denoise steps in one call.
        phases: the figures of each phase.
        modules: the figures of each part, to say which one changed.
        attention: how often each attention kernel would run.
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
            case=case,
            subject=AcceptedSubject.of(record.subject),
            environment=AcceptedEnvironment.of(environment),
            reason=reason,
            gpu_model=record.gpu_model,
            num_steps=record.num_steps,
            phases={counts.phase: convert(figures_of(counts), PhaseFigures) for counts in record.phases},
            modules={counts.module: convert(figures_of(counts), ModuleFigures) for counts in record.modules},
            attention=dict(record.attention),
            unmodelled=record.unmodelled,
        )


class CompileBaseline(Baseline, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What compiling a pipeline came to.

    Attributes:
        regions: the figures of each function that was compiled.
    """

    concern: ClassVar[Concern] = Concern.COMPILATION
    schema_version: ClassVar[int] = 1

    regions: Annotated[dict[str, RegionFigures], Meta(min_length=1)]

    @classmethod
    def from_record(cls, record: CompileCountRecord, *, case: str, environment: Environment, reason: str) -> Self:
        """Accept a record."""
        return cls(
            case=case,
            subject=AcceptedSubject.of(record.subject),
            environment=AcceptedEnvironment.of(environment),
            reason=reason,
            regions={counts.region: convert(figures_of(counts), RegionFigures) for counts in record.regions},
        )
