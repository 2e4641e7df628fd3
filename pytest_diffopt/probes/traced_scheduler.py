"""What a pipeline asks of its scheduler."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

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
                    stack.enter_context(_noted(self._scheduler, name, noted))
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

    def _step(self) -> None:
        if not self._steps:
            self._begin_index = getattr(self._scheduler, "begin_index", None)
        self._steps += 1

    def _lookup(self) -> None:
        self._lookups += 1


@contextmanager
def _noted(owner: Any, name: str, note: Callable[[], None]) -> Iterator[None]:
    """Note each call of a method of one object; pipelines inspect its signature, which stays."""
    original = getattr(owner, name)

    def noted(*args: Any, **kwargs: Any) -> Any:
        note()
        return original(*args, **kwargs)

    noted.__wrapped__ = original  # type: ignore[attr-defined]
    before = vars(owner).get(name)
    setattr(owner, name, noted)
    try:
        yield
    finally:
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
