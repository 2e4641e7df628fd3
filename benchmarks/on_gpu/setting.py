"""Where a command runs: on the GPU at full size, or rehearsed on the CPU with the tiny pipelines."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.records import Device

_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """Where and how large.

    Attributes:
        is_rehearsal: on the CPU, tiny, few steps: it shows that a command works, and measures nothing.
        reports: a folder for what does not fit into the JSON file.
    """

    is_rehearsal: bool
    reports: Path

    @property
    def device(self) -> Device:
        """Where pipelines are built."""
        return Device.CPU if self.is_rehearsal else Device.CUDA

    @property
    def scale(self) -> Scale:
        """How large they are."""
        return Scale.TINY if self.is_rehearsal else Scale.FULL

    def pick(self, *, measured: _Value, rehearsed: _Value) -> _Value:
        """Return the one or the other."""
        return rehearsed if self.is_rehearsal else measured
