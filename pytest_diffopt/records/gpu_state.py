"""State of a GPU while a call is timed on it."""

from dataclasses import dataclass
from enum import StrEnum

#: A GPU below this fraction of its maximum clock counts as throttled; nvbench drops samples at the same fraction.
_LEAST_CLOCK_SHARE = 0.75


class Slowdown(StrEnum):
    """Reason for a lowered clock, as reported by NVML; idling does not count."""

    HARDWARE = "hardware slowdown"
    HARDWARE_THERMAL = "hardware thermal slowdown"
    SOFTWARE_THERMAL = "software thermal slowdown"
    POWER_BRAKE = "power brake"
    POWER_CAP = "power cap"


@dataclass(frozen=True, kw_only=True, slots=True)
class GPUProcess:
    """Another process on the same GPU.

    Attributes:
        pid: process id; in some containers that of another namespace.
        name: program name; empty when unknown.
        memory_bytes: GPU memory in use; 0 when unknown.
        utilization_percent: recent GPU utilization; None when unknown.
    """

    pid: int
    name: str
    memory_bytes: int
    utilization_percent: int | None

    @property
    def is_busy(self) -> bool:
        """Whether the process uses the GPU, or may: unknown utilization counts as busy."""
        return self.utilization_percent is None or self.utilization_percent > 0


@dataclass(frozen=True, kw_only=True, slots=True)
class GPUReading:
    """State of a GPU at one moment; None where a value is not available.

    Attributes:
        sm_clock_mhz: clock of the streaming multiprocessors.
        max_sm_clock_mhz: their maximum clock.
        power_milliwatts: power draw.
        temperature_celsius: temperature.
        slowdowns: reasons for a lowered clock.
        others: other processes on the GPU.
    """

    sm_clock_mhz: int | None = None
    max_sm_clock_mhz: int | None = None
    power_milliwatts: int | None = None
    temperature_celsius: int | None = None
    slowdowns: tuple[Slowdown, ...] = ()
    others: tuple[GPUProcess, ...] = ()

    @property
    def is_throttled(self) -> bool:
        """Whether a time measured now would be distorted by throttling.

        The power cap alone does not count, since a large GPU at full load always runs at it. It counts when the clock
        has fallen below 75 % of its maximum.
        """
        if any(slowdown is not Slowdown.POWER_CAP for slowdown in self.slowdowns):
            return True
        if not self.slowdowns or self.sm_clock_mhz is None or not self.max_sm_clock_mhz:
            return False
        return self.sm_clock_mhz < _LEAST_CLOCK_SHARE * self.max_sm_clock_mhz


@dataclass(frozen=True, kw_only=True, slots=True)
class GPURecord:
    """State of a GPU during one measurement.

    Attributes:
        readings: one before the first counted call, and one after each.
        unreadable: values that could not be read, each with the reason.
    """

    readings: tuple[GPUReading, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def busy_others(self) -> tuple[GPUProcess, ...]:
        """Every other process that was busy, once, in the order of first observation."""
        seen = {other.pid: other for reading in self.readings for other in reading.others if other.is_busy}
        return tuple(seen.values())
