"""What a pipeline asks of its scheduler."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from pytest_diffopt.probes.noted_calls import calls_noted
from pytest_diffopt.records import SchedulerCalls


class SchedulerTrace:
    """Counts the steps of a scheduler, and its searches for a timestep, while the block of `watching` runs.

    Args:
        scheduler: the scheduler; None if the target has none.
    """

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._steps = 0
        self._lookups = 0
        self._begin_index: int | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count while the block runs."""
        with ExitStack() as stack:
            for name, noted in (("step", self._step), ("index_for_timestep", self._lookup)):
                if callable(getattr(self._scheduler, name, None)):
                    stack.enter_context(calls_noted(self._scheduler, name, noted))
            yield

    def calls(self) -> SchedulerCalls | None:
        """Return what was counted so far."""
        if self._scheduler is None:
            return None
        return SchedulerCalls(
            kind=type(self._scheduler).__name__,
            steps=self._steps,
            lookups=self._lookups,
            begin_index=self._begin_index,
        )

    def _step(self, _args: tuple[Any, ...]) -> None:
        if not self._steps:
            self._begin_index = getattr(self._scheduler, "begin_index", None)
        self._steps += 1

    def _lookup(self, _args: tuple[Any, ...]) -> None:
        self._lookups += 1
