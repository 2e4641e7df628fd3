"""Host-device synchronizations inside the denoise loop."""

from dataclasses import dataclass

from pytest_diffopt.records.code_location import CodeLocation
from pytest_diffopt.records.denoiser import DenoiserEvidence
from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservedSync:
    """One synchronization inside the denoise loop.

    Attributes:
        kind: cause of the sync, for example `read by the host` or `copy to the host`.
        operation: the call that synchronized, as written in code (`.item()`).
        where: innermost line of the user's code.
        step: the denoise step, from 0.
    """

    kind: str
    operation: str
    where: CodeLocation
    step: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncRecord:
    """Every synchronization inside the denoise loop.

    Attributes:
        num_steps: steps of the loop.
        syncs: the synchronizations, except those of offload hooks.
        seen_by: name of the instrument, for messages ("the simulated GPU").
        unmodelled: operations for which the instrument has no model.
        operations: the number of operations of each step on the watched device, the evidence that it was watched: on
            the null GPU launches of kernels and calls of libraries; on a real GPU operations that torch dispatched
            (in a step without any, as in compiled code, allocations).
        denoiser: what the denoisers ran in each step; None without a denoiser.
        bytes_to_device: bytes copied over the bus to the simulated GPU in each step; empty on a real GPU.
        bytes_to_host: bytes copied over the bus to the host in each step; empty on a real GPU.
        offload_syncs: the number of syncs in each step with which offload hooks move weights; they are the price of
            offload, and no fault of the loop.
        first_call_syncs: synchronizations in the first step that a repetition of the call does not have: they fill a
            cache once in the life of the pipeline.
        placeholders: lines that read a placeholder value; control flow that depends on it may be wrong.
    """

    subject: Subject
    num_steps: int
    syncs: tuple[ObservedSync, ...]
    seen_by: str
    unmodelled: tuple[str, ...] = ()
    placeholders: tuple[CodeLocation, ...] = ()
    operations: tuple[int, ...] = ()
    denoiser: DenoiserEvidence | None = None
    bytes_to_device: tuple[int, ...] = ()
    bytes_to_host: tuple[int, ...] = ()
    offload_syncs: tuple[int, ...] = ()
    first_call_syncs: tuple[ObservedSync, ...] = ()
