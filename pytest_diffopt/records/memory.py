"""Peak memory of a call, and live memory between calls."""

from dataclasses import dataclass

from pytest_diffopt.records.code_location import CodeLocation
from pytest_diffopt.records.denoiser import DenoiserEvidence
from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryHolder:
    """Memory that one line of code allocated and that is not released.

    Attributes:
        where: the innermost line of user code that allocated it.
        held_bytes: the bytes.
    """

    where: CodeLocation
    held_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryRecord:
    """Peak device memory of one warm call.

    Attributes:
        peak_allocated_bytes: allocated to tensors.
        peak_reserved_bytes: reserved by the caching allocator; 0 on the simulated GPU, which has no such allocator.
        operations: operations of the call on the device, or its launches on the null GPU: the evidence that it ran
            where memory was measured. On a real GPU and on the null GPU, of the same call before the measured one.
        denoiser: what the denoisers ran there, the whole call as one step; None without a denoiser.
        peak_holders: the lines whose memory was held at the peak, the largest first; with CUDA's allocator, only memory
            that the measured call itself allocated.
        held_before_bytes: allocated to tensors before the call, such as its weights; None on the simulated GPU, where
            `peak_holders` has it.
        seen_by: name of the instrument, for messages.
    """

    subject: Subject
    peak_allocated_bytes: int
    peak_reserved_bytes: int
    seen_by: str
    operations: int
    denoiser: DenoiserEvidence | None = None
    peak_holders: tuple[MemoryHolder, ...] = ()
    held_before_bytes: int | None = None

    @property
    def is_watched(self) -> bool:
        """Whether the call and its denoiser ran where memory was measured."""
        return self.operations > 0 and (self.denoiser is None or self.denoiser.is_watched)


@dataclass(frozen=True, kw_only=True, slots=True)
class CallMemory:
    """Live device memory after one of several calls.

    Attributes:
        call: label of the call.
        live_bytes: allocated to tensors after the call, weights included.
        operations: operations of the call on the device, or its launches on the null GPU.
        denoiser: what the denoisers ran there, the whole call as one step; None without a denoiser.
    """

    call: str
    live_bytes: int
    operations: int
    denoiser: DenoiserEvidence | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryGrowthRecord:
    """Live device memory between the calls of a pipeline.

    The first call is made twice at the start, so that everything that is built at first use exists, and once more after
    all others. What its last repetition leaves in addition to the repetition before was kept by the calls between them.

    Attributes:
        calls: each call in order, from the second repetition of the first call to its last.
        holders: the lines whose live memory grew between these two, with the growth, the largest first; empty on a real
            GPU.
        seen_by: name of the instrument, for messages.
    """

    subject: Subject
    calls: tuple[CallMemory, ...]
    holders: tuple[MemoryHolder, ...] = ()
    seen_by: str

    @property
    def growth_bytes(self) -> int:
        """The live memory after the last call, less that after the same call before all others; may be negative."""
        return self.calls[-1].live_bytes - self.calls[0].live_bytes
