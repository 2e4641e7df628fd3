"""What the denoisers of a pipeline ran on the watched device: the evidence that the loop was watched."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from pytest_diffopt.records.denoise_phases import step_range


@dataclass(frozen=True, kw_only=True, slots=True)
class DenoiserEvidence:
    """Calls and operations of each denoiser in each denoise step.

    Attributes:
        calls: the number of calls of each denoiser of the pipeline (`unet`, `transformer_2`) in each step; 0 in a step
            that skips it, as a cache does.
        operations: what each of them ran on the watched device in each step, counted like the operations of the whole
            step.
        elsewhere: the denoisers that ran nothing there in a call, with the device of their weights (`unet: weights on
            cpu`).
    """

    calls: Mapping[str, tuple[int, ...]]
    operations: Mapping[str, tuple[int, ...]]
    elsewhere: tuple[str, ...] = ()

    @property
    def num_steps(self) -> int:
        """The number of denoise steps."""
        return len(next(iter(self.calls.values())))

    @property
    def names_by_step(self) -> tuple[str, ...]:
        """The denoiser that was called in each step (`transformer_2`), or several joined with ` + `."""
        called = ((name for name, calls in self.calls.items() if calls[step]) for step in range(self.num_steps))
        return tuple(" + ".join(names) for names in called)

    @property
    def unwatched_steps(self) -> tuple[int, ...]:
        """The steps in which a denoiser was called and ran nothing on the watched device."""
        return tuple(
            step for step in range(self.num_steps) if any(self._is_elsewhere(name, step) for name in self.calls)
        )

    @property
    def is_watched(self) -> bool:
        """Whether the denoisers ran on the watched device in every step that called them, and in one at least."""
        return any(self.names_by_step) and not self.unwatched_steps

    def __str__(self) -> str:
        """Return which steps each of several denoisers ran: `steps 0-1: transformer, steps 2-3: transformer_2`."""
        runs = groupby(enumerate(self.names_by_step), key=lambda numbered: numbered[1])
        return ", ".join(f"{step_range([step for step, _name in run])}: {names or 'none'}" for names, run in runs)

    def _is_elsewhere(self, name: str, step: int) -> bool:
        return bool(self.calls[name][step]) and not self.operations[name][step]
