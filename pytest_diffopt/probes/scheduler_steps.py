"""The calls of a scheduler's `step`, which every pipeline of diffusers makes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import update_wrapper
from typing import Any


@contextmanager
def step_watched(scheduler: Any, note: Callable[[Any], None]) -> Iterator[None]:
    """Pass the result of each call of a scheduler's `step` to `note` while the block runs.

    A copy of the scheduler, such as the one with which a pipeline denoises audio beside a video, is not watched.
    """
    before = vars(scheduler).get("step")
    scheduler.step = _WatchedStep(scheduler.step, note)  # on the instance, so that it hides the class's method
    try:
        yield
    finally:
        if before is None:
            del scheduler.step
        else:  # set by the user, or by an enclosing watch
            scheduler.step = before


class _WatchedStep:
    """A scheduler's `step`, whose results are noted."""

    def __init__(self, original: Callable[..., Any], note: Callable[[Any], None]) -> None:
        self._original, self._note = original, note
        update_wrapper(self, original, updated=())  # pipelines inspect its signature for the parameter `generator`

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._original(*args, **kwargs)
        self._note(result)
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return deepcopy(self._original, memo)  # of a method: the same method of the copied scheduler
