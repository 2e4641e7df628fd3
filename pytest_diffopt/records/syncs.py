"""How often the CPU waited for the GPU."""

from dataclasses import dataclass

from pytest_diffopt.records.code_location import CodeLocation
from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservedSync:
    """One time that the CPU waited for the GPU inside the denoise loop.

    Attributes:
        kind: `read by the host`, `copy from the host`, `copy to the host` or `explicit wait`.
        operation: what was called, as a person would write it (`.item()`).
        where: the innermost line of the user's code.
        step: the denoise step, from 0.
    """

    kind: str
    operation: str
    where: CodeLocation
    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncRecord:
    """Every wait inside the denoise loop.

    Attributes:
        num_steps: how many steps the loop took.
        seen_by: the instrument, as a person would name it ("the simulated GPU").
        unmodelled: operations about which the instrument knows nothing.
        placeholders: lines that read a value which the instrument did not have; what they decided may be wrong.
    """

    subject: Subject
    num_steps: int
    syncs: tuple[ObservedSync, ...]
    seen_by: str
    unmodelled: tuple[str, ...] = ()
    placeholders: tuple[CodeLocation, ...] = ()
