"""Time, memory and exact counts of a call."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pytest_diffopt.records.gpu_state import GPURecord
from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyRecord:
    """How long a call took, again and again, the device waited for before and after each.

    Attributes:
        warmup_ns: the calls before the counted ones, the first of them first.
        samples_ns: the counted calls.
        num_steps: denoise steps in one call; 0 when it has no denoise loop.
        is_warm: False when the time for it ended while the calls were still getting faster.
        first_call_ns: the first call of the pipeline's life, compiling and all; 0 when somebody else made it unseen.
        compile_ns: what of that Dynamo spent on compiling, backend and all.
        loops_ns: the denoise loop alone, in calls of their own after the counted ones.
        steps_ns: each step of those calls; empty unless asked for.
        throttled_ns: calls that do not count because the GPU was throttled.
        gpu: what the GPU said meanwhile; None where there is none.
        counts: what a call does on the simulated GPU; None where nobody counted.
        why_not_counted: the reason, where counting was tried in vain.
        roofline_ns: the least time that this GPU's peaks allow for what was counted; 0 where they are not known.
    """

    subject: Subject
    warmup_ns: tuple[int, ...]
    samples_ns: tuple[int, ...]
    num_steps: int = 0
    is_warm: bool = True
    first_call_ns: int = 0
    compile_ns: int = 0
    loops_ns: tuple[int, ...] = ()
    steps_ns: tuple[tuple[int, ...], ...] = ()
    throttled_ns: tuple[int, ...] = ()
    gpu: GPURecord | None = None
    counts: "CountRecord | None" = None
    why_not_counted: str = ""
    roofline_ns: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioRecord:
    """Two callables timed in turn in one process.

    Attributes:
        reference: what the subject is compared with.
        subject_ns: samples of the subject, one a round.
        reference_ns: samples of the reference, one a round, in the same order.
    """

    subject: Subject
    reference: Subject
    subject_ns: tuple[int, ...]
    reference_ns: tuple[int, ...]


class PairedTiming(StrEnum):
    """How two processes are timed beside each other.

    `IN_TURN`: one of them runs at a time, and what is timed is how long it takes. `SIDE_BY_SIDE`: both run at once on
    one processor core, which changes between them every few milliseconds, and what is timed is the processor time of
    each.
    """

    IN_TURN = "in turn"
    SIDE_BY_SIDE = "side by side"


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedBlock:
    """Base and head timed twice each, in mirrored order; each time is that of several calls.

    Attributes:
        base_ns: the base's two times.
        head_ns: the head's two.
    """

    base_ns: tuple[int, int]
    head_ns: tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedRecord:
    """The same call of two versions of the code, timed by two processes on one machine.

    Attributes:
        base: what the code is compared with, as a person names it.
        head: the code.
        timing: how both were timed.
        why_in_turn: what kept them from being timed side by side on a processor; empty where nothing did, or on a GPU.
        repeats: how many calls each time of a block holds.
        blocks: what was timed, in order.
        throttled_blocks: blocks that do not count because the GPU was throttled.
        blocks_of_pairs: how many of them each pair of processes timed, one pair after the other.
        spent_seconds: how long all blocks took, waiting for the processes and all.
        num_steps: denoise steps in one call; 0 when it has no denoise loop.
        gpu: what the GPU said meanwhile; None where there is none.
        lacking: `base` or `head` where that version has no such test; empty where both have it.
        base_counts: what a call of the base does on the simulated GPU; None where nobody counted.
        head_counts: what a call of the head does there.
        why_not_counted: the reason, where counting was tried in vain.
    """

    subject: Subject
    base: str
    head: str
    timing: PairedTiming = PairedTiming.IN_TURN
    why_in_turn: str = ""
    repeats: int = 1
    blocks: tuple[PairedBlock, ...] = ()
    throttled_blocks: tuple[PairedBlock, ...] = ()
    blocks_of_pairs: tuple[int, ...] = ()
    spent_seconds: float = 0.0
    num_steps: int = 0
    gpu: GPURecord | None = None
    lacking: str = ""
    base_counts: "CountRecord | None" = None
    head_counts: "CountRecord | None" = None
    why_not_counted: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationRecord:
    """The same code against itself.

    Attributes:
        timing: how both were timed.
        repeats: how many calls each time of a block holds.
        pairs: the blocks of each pair of processes; every pair was started anew.
        spent_seconds: how long all blocks took.
    """

    subject: Subject
    timing: PairedTiming = PairedTiming.IN_TURN
    repeats: int
    pairs: tuple[tuple[PairedBlock, ...], ...]
    spent_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryRecord:
    """The most memory that one warm call held on the device.

    Attributes:
        peak_allocated_bytes: by tensors.
        peak_reserved_bytes: by the caching allocator; 0 where there is no such allocator (the simulated GPU).
        seen_by: the instrument, as a person would name it.
    """

    subject: Subject
    peak_allocated_bytes: int
    peak_reserved_bytes: int
    seen_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseCounts:
    """What one phase of a call does on a GPU; every figure is exact and repeatable.

    Attributes:
        phase: `before the loop`, `step 0`, `steps 1-29` (each of them alike), `after the loop`.
        flops: floating-point operations of matrix products, convolutions and attention; a multiply-add is two.
        operations: operations that launch work on the GPU.
        bytes_to_device: bytes copied over the bus to the GPU.
        bytes_to_host: bytes copied over the bus to the host.
        allocated_bytes: sum of all allocations, each rounded as CUDA's caching allocator rounds it.
        peak_memory_bytes: most bytes that were allocated at one moment, weights included.
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
    """What one part of the pipeline does in a whole call, with everything inside it.

    Attributes:
        module: its path, as deep as people name it (`unet.down_blocks.1`); `outside modules` for what is in none.
        flops: as in `PhaseCounts`.
        operations: as in `PhaseCounts`.
    """

    module: str
    flops: int
    operations: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CountRecord:
    """Everything that can be counted of one call, on the simulated GPU.

    Attributes:
        gpu_model: the simulated GPU (`nvidia-h200`).
        num_steps: denoise steps.
        phases: the figures of each phase, in order; equal steps stand together.
        modules: the figures of each part.
        attention: how often each attention kernel would run, as `flash 2x10x4096x64 bfloat16`.
        unmodelled: operations that the simulated GPU knows nothing about.
        least_ns: the least time that the simulated GPU's peaks allow, each phase after the other.
    """

    subject: Subject
    gpu_model: str
    num_steps: int
    phases: tuple[PhaseCounts, ...]
    modules: tuple[ModuleCounts, ...]
    attention: Mapping[str, int]
    unmodelled: tuple[str, ...] = ()
    least_ns: float = 0.0
