"""The syncs of a first call that a repetition of it does not have: they fill a cache."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_diffopt.records import ObservedSync
from pytest_diffopt.simulated_gpu import SimulatedGPU, Sync

if TYPE_CHECKING:
    from pytest_diffopt.probes.denoise_loop import DenoiseLoop


@dataclass(frozen=True, kw_only=True, slots=True)
class _Again:
    """The phase of a step of the repeated call."""

    step: int


class FirstCall:
    """Distinguishes the first call on a simulated GPU from a repetition of it, which finds filled caches.

    Attributes:
        loop: the denoise loop; None for a bare callable or module.
    """

    def __init__(self, gpu: SimulatedGPU) -> None:
        self.loop: DenoiseLoop | None = None
        self._gpu = gpu
        self._is_ended = False
        self._num_steps = 0

    @property
    def num_steps(self) -> int:
        """The number of steps of the first call."""
        if self.loop is None:
            return 1
        return self._num_steps if self._is_ended else self.loop.num_steps

    def step_now(self) -> int | None:
        """Return the current step of the first call; None outside of its loop."""
        return None if self._is_ended or self.loop is None else self.loop.step

    def enter_phase(self, step: int | None) -> None:
        """Enter a step of the loop; those of the repeated call are numbered from 0 again."""
        is_again = self._is_ended and step is not None
        self._gpu.enter_phase(_Again(step=(step or 0) - self._num_steps) if is_again else step)

    def end(self) -> None:
        """End the first call: the next one is a repetition."""
        self._num_steps = self.loop.num_steps if self.loop else 0
        self._is_ended = True
        if self.loop is None:
            self.enter_phase(0)

    def syncs_in_first_step(self) -> tuple[ObservedSync, ...]:
        """Return the syncs so far in the first step."""
        return tuple(observed(sync, 0) for sync in self._gpu.syncs if sync.phase == 0 and not sync.is_offload)

    def split(self, syncs: list[ObservedSync]) -> tuple[tuple[ObservedSync, ...], tuple[ObservedSync, ...]]:
        """Return the syncs that the repeated call has too, and those of the first call alone."""
        if not self._is_ended:
            return tuple(syncs), ()
        again = Counter(
            observed(sync, sync.phase.step)
            for sync in self._gpu.syncs
            if isinstance(sync.phase, _Again) and not sync.is_offload
        )
        repeated, only_first = list[ObservedSync](), list[ObservedSync]()
        for sync in syncs:
            is_repeated = sync.step > 0 or again[sync] > 0
            again[sync] -= 1
            (repeated if is_repeated else only_first).append(sync)
        return tuple(repeated), tuple(only_first)


def observed(sync: Sync, step: int) -> ObservedSync:
    """Return a sync of the simulated GPU as the record has it."""
    return ObservedSync(kind=sync.kind.value, operation=sync.shown_as, where=sync.where, step=step)
