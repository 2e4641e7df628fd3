"""An estimated timeline of a call on the null GPU."""

from dataclasses import dataclass

from pytest_diffopt.records.subject import Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseTimeline:
    """The estimated timeline of one phase; all times in nanoseconds.

    Attributes:
        phase: `before the loop`, `step 0`, `later steps` (the median of each figure), `after the loop` or `the call`.
        host_ns: host time, measured on this machine, without waiting for the device.
        waited_ns: how long the host waits for the device.
        busy_ns: device time of what was enqueued, by the roofline: a lower bound of the model.
        total_ns: the duration of the phase.
    """

    phase: str
    host_ns: int
    waited_ns: int
    busy_ns: int
    total_ns: int

    @property
    def idle_ns(self) -> int:
        """The time in which the device does nothing."""
        return max(0, self.total_ns - self.busy_ns)


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncCost:
    """What the syncs of one line cost.

    Attributes:
        where: the line, as `file.py:12`.
        api: the function of CUDA that blocks.
        count: the syncs of the call.
        cost_ns: by how much they lengthen the call, by the estimate.
    """

    where: str
    api: str
    count: int
    cost_ns: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TimelineRecord:
    """The estimated timeline of one warm call; never a measurement of a GPU.

    Attributes:
        gpu_model: the GPU whose peaks the model takes; empty if they are not known, and then every device time is 0.
        num_steps: denoise steps; 0 without a denoise loop.
        phases: the timeline of each phase.
        syncs: what the syncs cost, by line, the most expensive first.
        launches: kernels and library calls, those inside CUDA graphs included.
        without_model: those of them that have no model and count as 0.
    """

    subject: Subject
    gpu_model: str
    num_steps: int
    phases: tuple[PhaseTimeline, ...]
    syncs: tuple[SyncCost, ...] = ()
    launches: int = 0
    without_model: int = 0
