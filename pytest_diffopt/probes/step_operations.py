"""The operations of each denoise step on the watched device: the evidence that the loop ran there."""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Self

from pytest_diffopt._torch_private.dispatched_operations import DispatchedOperations, allocations_so_far


def per_step(counted: Mapping[int, int], num_steps: int) -> tuple[int, ...]:
    """Return the number of each step; work after the last update belongs to the last step."""
    total = Counter[int]()
    for step, count in counted.items():
        total[last_step(step, num_steps)] += count
    return tuple(total[step] for step in range(num_steps))


def last_step(step: int, num_steps: int) -> int:
    """Attribute work inside the loop but after the last update to the last step."""
    return min(step, num_steps - 1)


class StepOperations:
    """Counts the operations of each step.

    Args:
        so_far: returns the number of operations of this process on the watched device until now.

    Attributes:
        step: the current step; None outside of all steps.
        by_step: the operations of each step that has ended.
    """

    def __init__(self, so_far: Callable[[], int]) -> None:
        self.step: int | None = None
        self.by_step: Counter[int] = Counter()
        self._so_far = so_far
        self._before = 0

    def enter(self, step: int | None) -> None:
        """End the current step and start another; None for work that belongs to no step."""
        now = self._so_far()
        if self.step is not None:
            self.by_step[self.step] += now - self._before
        self.step, self._before = step, now


class GpuOperations(AbstractContextManager["GpuOperations"]):
    """Counts the operations that the calling thread dispatches to a real GPU while the block runs.

    Compiled code and other threads dispatch none of the kernels that they launch. Between two readings without a
    dispatched operation, each allocation of GPU memory counts as one instead, except those of copies from the host.
    """

    def __init__(self) -> None:
        self._dispatched = DispatchedOperations()
        self._operations = self._others = self._total = 0

    def __enter__(self) -> Self:
        self._others = allocations_so_far()
        self._dispatched.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._dispatched.__exit__(*exception)

    def so_far(self) -> int:
        """Return the number of operations until now."""
        operations, others = self._dispatched.operations, allocations_so_far() - self._dispatched.copies
        self._total += (operations - self._operations) or max(others - self._others, 0)
        self._operations, self._others = operations, others
        return self._total
