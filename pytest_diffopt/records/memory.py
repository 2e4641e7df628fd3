"""Peak memory of a call."""

from dataclasses import dataclass

from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryRecord:
    """Peak device memory of one warm call.

    Attributes:
        peak_allocated_bytes: allocated to tensors.
        peak_reserved_bytes: reserved by the caching allocator; 0 on the simulated GPU, which has no such allocator.
        operations: operations of the call on the simulated GPU, the evidence that it was watched; None on a real GPU,
            where they are not counted.
        seen_by: name of the instrument, for messages.
    """

    subject: Subject
    peak_allocated_bytes: int
    peak_reserved_bytes: int
    seen_by: str
    operations: int | None = None
