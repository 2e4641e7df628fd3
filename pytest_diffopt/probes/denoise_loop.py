"""The denoise loop of any diffusers pipeline, observed through its `progress_bar`.

Every pipeline opens `self.progress_bar(...)` around its loop and either calls `update()` at the end of a step or
iterates over it. No other interface marks a step in all pipelines.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from pytest_diffopt.errors import ProbeError


class DenoiseLoop:
    """Position of a pipeline: its current denoise step, or outside the loop.

    Attributes:
        step: the current step, from 0; None outside the loop.
        num_steps: finished steps, over all loops of the call.
        failed_step: the step that raised; None without an exception.
    """

    def __init__(self, on_step: Callable[[int | None], None]) -> None:
        self.step: int | None = None
        self.num_steps = 0
        self.failed_step: int | None = None
        self._on_step = on_step
        self._entered = False

    def require_entered(self, pipeline: Any) -> None:
        """Require that a denoise loop ran.

        Raises:
            ProbeError: the pipeline never opened its progress bar, or never finished a step.
        """
        name = type(pipeline).__name__
        if not self._entered:
            msg = (
                f"no denoise loop: {name} never opened pipeline.progress_bar(...): "
                "open it around the loop, or pass a callable that is one step"
            )
            raise ProbeError(msg)
        if not self.num_steps:
            msg = f"no denoise step was finished: {name} opened its progress bar but never called update() on it"
            raise ProbeError(msg)

    def enter(self) -> None:
        """Enter a loop: the next step starts."""
        self._entered = True
        self._go_to(self.num_steps)

    def advance(self, steps: int = 1) -> None:
        """Finish steps: the next one starts."""
        self.num_steps += steps
        self._go_to(self.num_steps)

    def leave(self) -> None:
        """Leave the loop."""
        self._go_to(None)

    def fail(self) -> None:
        """Record the current step as the one that raised."""
        self.failed_step = self.step

    def progress(self) -> str:
        """Return text for the position of the call, such as `in denoise step 3`."""
        if self.failed_step is not None:
            return f"in denoise step {self.failed_step}"
        return f"after {self.num_steps} finished denoise steps" if self._entered else "before the denoise loop"

    def _go_to(self, step: int | None) -> None:
        self.step = step
        self._on_step(step)


class _WatchedBar:
    """A proxy of the pipeline's progress bar that reports its steps to the loop."""

    def __init__(self, bar: Any, loop: DenoiseLoop) -> None:
        self._context = bar
        self._bar = bar
        self._loop = loop

    def __enter__(self) -> Self:
        self._bar = self._context.__enter__()  # tqdm returns itself; a user's bar may return another object
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
        pipeline: any object with diffusers' `progress_bar` method.
        on_step: called with each step's number when it starts, and with None when the loop ends.

    Raises:
        ProbeError: the object has no `progress_bar`.
    """
    original = getattr(pipeline, "progress_bar", None)
    if not callable(original):
        msg = f"no denoise loop: {type(pipeline).__name__} has no progress_bar method, through which the loop is found"
        raise ProbeError(msg)
    loop = DenoiseLoop(on_step or (lambda _step: None))

    def progress_bar(iterable: Iterable[Any] | None = None, total: int | None = None) -> _WatchedBar:
        return _WatchedBar(original(iterable=iterable, total=total), loop)

    before = vars(pipeline).get("progress_bar")
    pipeline.progress_bar = progress_bar  # on the instance, so that it hides the class's method
    try:
        yield loop
    finally:
        if before is None:
            del pipeline.progress_bar
        else:  # set by the user, or by an enclosing watch
            pipeline.progress_bar = before


def has_denoise_loop(target: Any) -> bool:
    """Return whether the object is a pipeline with a progress bar, not a bare callable or module."""
    return callable(getattr(target, "progress_bar", None))
