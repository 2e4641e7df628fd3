"""The denoise loop of any diffusers pipeline, found through its `progress_bar`.

Every pipeline opens `self.progress_bar(...)` around its loop and calls `update()` at the end of a step, or iterates
over it; nothing else marks a step in all of them.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from pytest_diffopt.errors import ProbeError


class DenoiseLoop:
    """Where a watched pipeline is: in which denoise step, or outside the loop.

    Attributes:
        step: the step that runs now, from 0; None outside the loop.
        num_steps: steps finished so far, over all loops of the call.
        failed_step: the step in which an exception left the loop; None while none has.
    """

    def __init__(self, on_step: Callable[[int | None], None]) -> None:
        self.step: int | None = None
        self.num_steps = 0
        self.failed_step: int | None = None
        self._on_step = on_step
        self._entered = False

    def require_entered(self, pipeline: Any) -> None:
        """Refuse a call in which no loop ran.

        Raises:
            ProbeError: the pipeline never opened its progress bar, or never finished a step.
        """
        name = type(pipeline).__name__
        if not self._entered:
            msg = (
                f"the denoise loop is found through pipeline.progress_bar(...), which {name} never opened: "
                "open it around the loop, or pass a callable that is one step"
            )
            raise ProbeError(msg)
        if not self.num_steps:
            msg = f"{name} opened its progress bar, but never called update() on it: no denoise step was finished"
            raise ProbeError(msg)

    def enter(self) -> None:
        """Begin a loop: the next step starts."""
        self._entered = True
        self._go_to(self.num_steps)

    def advance(self, steps: int = 1) -> None:
        """Finish steps: the next one starts."""
        self.num_steps += steps
        self._go_to(self.num_steps)

    def leave(self) -> None:
        """End the loop."""
        self._go_to(None)

    def fail(self) -> None:
        """Remember the step that an exception ends."""
        self.failed_step = self.step

    def progress(self) -> str:
        """Say how far the call came."""
        if self.failed_step is not None:
            return f"in denoise step {self.failed_step}"
        return f"after {self.num_steps} finished denoise steps" if self._entered else "before the denoise loop"

    def _go_to(self, step: int | None) -> None:
        self.step = step
        self._on_step(step)


class _WatchedBar:
    """A progress bar that tells the loop about its steps and is otherwise the pipeline's own."""

    def __init__(self, bar: Any, loop: DenoiseLoop) -> None:
        self._context = bar
        self._bar = bar
        self._loop = loop

    def __enter__(self) -> Self:
        self._bar = self._context.__enter__()  # tqdm's is itself, a user's own may be another object
        self._loop.enter()
        return self

    def __exit__(self, kind: object, *exception: object) -> Any:
        if kind is not None:
            self._loop.fail()
        self._loop.leave()
        return self._context.__exit__(kind, *exception)

    def __iter__(self) -> Iterator[Any]:
        self._loop.enter()
        try:
            for item in self._bar:
                yield item
                self._loop.advance()
        finally:
            self._loop.leave()

    def update(self, n: int = 1) -> Any:
        self._loop.advance(n)
        return self._bar.update(n)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bar, name)


@contextmanager
def watch_denoise_loop(pipeline: Any, on_step: Callable[[int | None], None] | None = None) -> Iterator[DenoiseLoop]:
    """Watch the pipeline's denoise loop while the block runs.

    Args:
        pipeline: anything with diffusers' `progress_bar` method.
        on_step: called with each step's number as it starts, and with None as the loop ends.

    Raises:
        ProbeError: the object has no `progress_bar`.
    """
    original = getattr(pipeline, "progress_bar", None)
    if not callable(original):
        msg = f"the denoise loop is found through pipeline.progress_bar(...), which {type(pipeline).__name__} lacks"
        raise ProbeError(msg)
    loop = DenoiseLoop(on_step or (lambda _step: None))

    def progress_bar(iterable: Iterable[Any] | None = None, total: int | None = None) -> _WatchedBar:
        return _WatchedBar(original(iterable=iterable, total=total), loop)

    before = vars(pipeline).get("progress_bar")
    pipeline.progress_bar = progress_bar  # on the instance, which hides the class's
    try:
        yield loop
    finally:
        if before is None:
            del pipeline.progress_bar
        else:  # the user's own, or that of a watch around this one
            pipeline.progress_bar = before


def has_denoise_loop(target: Any) -> bool:
    """Tell whether the object is a pipeline whose loop can be found, not a bare callable or module."""
    return callable(getattr(target, "progress_bar", None))
