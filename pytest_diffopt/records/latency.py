"""Times of calls: one pipeline, two callables in one process, or two processes."""

from dataclasses import dataclass
from enum import StrEnum

from pytest_diffopt.records.counts import CountRecord
from pytest_diffopt.records.gpu_state import GPURecord
from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyRecord:
    """Repeated timings of one call, with the device synchronized before and after each.

    Attributes:
        warmup_ns: warm-up calls, in order.
        samples_ns: counted calls.
        num_steps: denoise steps in one call; 0 without a denoise loop.
        is_warm: False when the time budget ended while calls were still getting faster.
        first_call_ns: the pipeline's first call, compilation included; 0 when that call was not measured.
        compile_ns: part of `first_call_ns` that Dynamo and its backend spent on compilation.
        loops_ns: denoise loop alone, measured in separate calls after the counted ones.
        steps_ns: each step of those separate calls; empty unless requested.
        throttled_ns: calls excluded because the GPU was throttled.
        gpu: GPU readings during the measurement; None without a GPU.
        counts: counts of the call on the simulated GPU; None when not counted.
        why_not_counted: reason when counting failed.
        roofline_ns: lower bound on the time from this GPU's peak rates and the counts; 0 for an unknown GPU.
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
    counts: CountRecord | None = None
    why_not_counted: str = ""
    roofline_ns: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioRecord:
    """Interleaved timings of two callables in one process.

    Attributes:
        reference: what the subject is compared with.
        subject_ns: samples of the subject, one per round.
        reference_ns: samples of the reference, one per round, in the same order.
    """

    subject: Subject
    reference: Subject
    subject_ns: tuple[int, ...]
    reference_ns: tuple[int, ...]


class PairedTiming(StrEnum):
    """How a pair of processes is timed.

    `INTERLEAVED`: one process runs at a time; wall-clock time is measured. `CONCURRENT`: both processes run on one CPU
    core, which the scheduler switches between them every few milliseconds; the CPU time of each is measured.
    """

    INTERLEAVED = "interleaved"
    CONCURRENT = "concurrent"


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedBlock:
    """Base and head timed twice each, in mirrored order; each time covers several calls.

    Attributes:
        base_ns: both times of the base.
        head_ns: both times of the head.
    """

    base_ns: tuple[int, int]
    head_ns: tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedRecord:
    """The same call in two versions of the code, timed by two processes on one machine.

    Attributes:
        base: name of the version that is compared with.
        head: name of the version under test.
        timing: how both were timed.
        why_interleaved: why concurrent timing on one core was not possible; empty when it was, or on a GPU.
        repeats: calls per time of a block.
        blocks: counted blocks, in order.
        throttled_blocks: blocks excluded because the GPU was throttled.
        blocks_of_pairs: number of blocks timed by each pair of processes, in order.
        spent_seconds: duration of all blocks, waiting for the processes included.
        num_steps: denoise steps in one call; 0 without a denoise loop.
        gpu: GPU readings during the measurement; None without a GPU.
        lacking: `base` or `head`: the version that lacks this test; empty when both have it.
        base_counts: counts of the base's call on the simulated GPU; None when not counted.
        head_counts: counts of the head's call on the simulated GPU; None when not counted.
        why_not_counted: reason when counting failed.
    """

    subject: Subject
    base: str
    head: str
    timing: PairedTiming = PairedTiming.INTERLEAVED
    why_interleaved: str = ""
    repeats: int = 1
    blocks: tuple[PairedBlock, ...] = ()
    throttled_blocks: tuple[PairedBlock, ...] = ()
    blocks_of_pairs: tuple[int, ...] = ()
    spent_seconds: float = 0.0
    num_steps: int = 0
    gpu: GPURecord | None = None
    lacking: str = ""
    base_counts: CountRecord | None = None
    head_counts: CountRecord | None = None
    why_not_counted: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationRecord:
    """The same code timed against itself.

    Attributes:
        timing: how both processes were timed.
        repeats: calls per time of a block.
        pairs: blocks of each pair of processes; each pair is a fresh start.
        spent_seconds: duration of all blocks.
    """

    subject: Subject
    timing: PairedTiming = PairedTiming.INTERLEAVED
    repeats: int
    pairs: tuple[tuple[PairedBlock, ...], ...]
    spent_seconds: float
