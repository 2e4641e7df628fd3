"""Where a command runs: on the GPU at full size, or as a rehearsal with tiny pipelines on the CPU or the null GPU."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pytest_diffopt.environment import gpu_device
from pytest_diffopt.null_gpu.activity import is_active
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Device

_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """Device and scale of a command.

    Attributes:
        is_rehearsal: whether it runs tiny pipelines, which tests the command without measuring.
        reports: folder for reports and logs.
    """

    is_rehearsal: bool
    reports: Path

    @property
    def device(self) -> Device:
        """Device of the pipelines; a rehearsal runs on the CPU unless the process is on the null GPU."""
        return Device.CPU if self.is_rehearsal and not is_active() else gpu_device()

    @property
    def scale(self) -> Scale:
        """Scale of the pipelines."""
        return Scale.TINY if self.is_rehearsal else Scale.FULL

    def pick(self, *, measured: _Value, rehearsed: _Value) -> _Value:
        """Return `rehearsed` in a rehearsal, else `measured`."""
        return rehearsed if self.is_rehearsal else measured
