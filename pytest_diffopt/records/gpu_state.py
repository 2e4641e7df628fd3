"""What a GPU said of itself while a call was timed on it."""

from dataclasses import dataclass
from enum import StrEnum

#: Below this share of its highest clock a GPU does not do what it can; nvbench drops such samples by the same figure.
_LEAST_CLOCK_SHARE = 0.75


class Slowdown(StrEnum):
    """Why a GPU's clock is lower than it could be, as NVML tells it; being idle is no slowdown."""

    HARDWARE = "hardware slowdown"
    HARDWARE_THERMAL = "hardware thermal slowdown"
    SOFTWARE_THERMAL = "software thermal slowdown"
    POWER_BRAKE = "power brake"
    POWER_CAP = "power cap"


@dataclass(frozen=True, kw_only=True, slots=True)
class GPUProcess:
    """A process of somebody else on the same GPU.

    Attributes:
        pid: its number; of another namespace in some containers.
        name: its program; empty where that is not told.
        memory_bytes: what it holds on the GPU; 0 where that is not told.
        utilization_percent: the GPU's time that it used lately; None where that is not told.
    """

    pid: int
    name: str
    memory_bytes: int
    utilization_percent: int | None

    @property
    def is_busy(self) -> bool:
        """Whether it computes, or may: one that is not known to be idle may disturb."""
        return self.utilization_percent is None or self.utilization_percent > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class GPUReading:
    """A GPU at one moment; None is what it would not tell.

    Attributes:
        sm_clock_mhz: the clock of its processors.
        max_sm_clock_mhz: the highest that they can have.
        memory_clock_mhz: the clock of its memory.
        power_milliwatts: what it draws.
        temperature_celsius: how hot it is.
        slowdowns: why its clock is lowered.
        others: processes of others on it.
    """

    sm_clock_mhz: int | None = None
    max_sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    power_milliwatts: int | None = None
    temperature_celsius: int | None = None
    slowdowns: tuple[Slowdown, ...] = ()
    others: tuple[GPUProcess, ...] = ()

    @property
    def is_throttled(self) -> bool:
        """Whether a call timed now would tell of the GPU's trouble.

        The power cap alone does not count: a large GPU at full load lives at it. It counts when the clock has fallen.
        """
        if any(slowdown is not Slowdown.POWER_CAP for slowdown in self.slowdowns):
            return True
        if not self.slowdowns or self.sm_clock_mhz is None or not self.max_sm_clock_mhz:
            return False
        return self.sm_clock_mhz < _LEAST_CLOCK_SHARE * self.max_sm_clock_mhz


@dataclass(frozen=True, kw_only=True, slots=True)
class GPURecord:
    """A GPU over one measurement.

    Attributes:
        readings: before the first counted call, and after each.
        unreadable: what the GPU would not tell, each with the reason.
    """

    readings: tuple[GPUReading, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def busy_others(self) -> tuple[GPUProcess, ...]:
        """Every process of others that computed, once, in the order in which they were seen."""
        seen = {other.pid: other for reading in self.readings for other in reading.others if other.is_busy}
        return tuple(seen.values())
