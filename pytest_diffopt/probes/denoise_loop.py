"""The denoise loop of any pipeline, observed through its `progress_bar`, or else through its scheduler.

A pipeline of diffusers opens `self.progress_bar(...)` around its loop and either calls `update()` at the end of a step
or iterates over it. Modular pipelines and users' own may open none: there the calls of the denoisers and of the
scheduler's `step` mark the steps.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any, Self

from pytest_diffopt._torch_private.compiled_code import calls_noted
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.pipelines.components import DENOISER, component_names, modules_of, schedulers_of
from pytest_diffopt.probes.noted_calls import replaced_on_instance, results_noted


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

    @property
    def is_entered(self) -> bool:
        """Whether a loop was entered."""
        return self._entered

    def require_entered(self, pipeline: Any) -> None:
        """Require that a denoise loop ran.

        Raises:
            ProbeError: the pipeline neither opened its progress bar nor called its scheduler, or never finished a step.
        """
        name = type(pipeline).__name__
        if not self._entered:
            scheduler = ", and never called the step of its scheduler" if schedulers_of(pipeline) else ""
            msg = (
                f"no denoise loop: {name} never opened pipeline.progress_bar(...){scheduler}: "
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
        step = self.step if self.failed_step is None else self.failed_step
        if step is not None:
            return f"in denoise step {step}"
        return f"after {self.num_steps} finished denoise steps" if self._entered else "before the denoise loop"

    def _go_to(self, step: int | None) -> None:
        self.step = step
        self._on_step(step)


class _BarlessLoop:
    """Finds the loop of a pipeline that opens no progress bar.

    A step starts with the first call of a denoiser after the previous step, and ends when the scheduler's `step`
    returns. As soon as a bar was opened, the bar alone counts.
    """

    def __init__(self, loop: DenoiseLoop) -> None:
        self._loop = loop
        self._stepping: Any = None
        self._num_steps = 0
        self._is_used = False

    @property
    def gives_way(self) -> bool:
        """Whether a bar that opens now counts: this found no whole step yet."""
        return not (self._is_used and self._loop.num_steps)

    def bar_opened(self) -> None:
        """Let the bar count."""
        self._is_used = False

    def denoiser_called(self) -> None:
        """Enter the loop with the first call of a denoiser."""
        if not self._loop.is_entered or (self._is_used and self._loop.step is None):
            self._is_used, self._stepping = True, None
            self._loop.enter()

    def scheduler_stepped(self, scheduler: Any, _result: object) -> None:
        """Finish a step; leave the loop after the scheduler's last timestep."""
        is_other = self._stepping is not None and self._stepping is not scheduler
        if is_other or (self._loop.is_entered and not self._is_used):
            return  # a second scheduler in the same step denoises something else, such as audio
        if self._loop.step is None:  # its denoiser has no usual name
            self._is_used = True
            self._loop.enter()
        self._stepping = scheduler
        self._num_steps += 1
        self._loop.advance()
        if self._is_last(scheduler):
            self.end()

    def end(self) -> None:
        """Leave the loop, if one was found and not left."""
        self._num_steps = 0
        if self._is_used and self._loop.step is not None:
            self._loop.leave()

    def _is_last(self, scheduler: Any) -> bool:
        timesteps, index = getattr(scheduler, "timesteps", None), getattr(scheduler, "step_index", None)
        if timesteps is None:
            return False
        return (index if isinstance(index, int) else self._num_steps) >= len(timesteps)


class _WatchedBar:
    """A proxy of the pipeline's progress bar that reports its steps to the loop."""

    def __init__(self, bar: Any, loop: DenoiseLoop, barless: _BarlessLoop) -> None:
        self._context = bar
        self._bar = bar
        self._loop = loop
        self._barless = barless

    def __enter__(self) -> Self:
        self._bar = self._context.__enter__()  # tqdm returns itself; a user's bar may return another object
        self._barless.bar_opened()
        self._loop.enter()
        return self

    def __exit__(self, kind: object, *exception: object) -> Any:
        if kind is not None:
            self._loop.fail()
        self._loop.leave()
        return self._context.__exit__(kind, *exception)

    def __iter__(self) -> Iterator[Any]:
        self._barless.bar_opened()
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
        pipeline: any object with diffusers' `progress_bar` method, or with a scheduler among its components.
        on_step: called with each step's number when it starts, and with None when the loop ends.

    Raises:
        ProbeError: the object has neither.
    """
    if not has_denoise_loop(pipeline):
        name = type(pipeline).__name__
        msg = f"no denoise loop: {name} has no progress_bar method and no scheduler, through which the loop is found"
        raise ProbeError(msg)
    loop = DenoiseLoop(on_step or (lambda _step: None))
    barless = _BarlessLoop(loop)
    with ExitStack() as stack:
        if callable(getattr(pipeline, "progress_bar", None)):
            stack.enter_context(_bar_watched(pipeline, loop, barless))
        for scheduler in schedulers_of(pipeline).values():
            stack.enter_context(results_noted(scheduler, "step", partial(barless.scheduler_stepped, scheduler)))
        for name in component_names(pipeline, DENOISER):
            stack.enter_context(calls_noted(modules_of(pipeline)[name], barless.denoiser_called))
        try:
            yield loop
        except BaseException:
            if loop.failed_step is None:
                loop.fail()
            raise
        finally:
            barless.end()


def _bar_watched(pipeline: Any, loop: DenoiseLoop, barless: _BarlessLoop) -> AbstractContextManager[None]:
    original = pipeline.progress_bar

    def progress_bar(iterable: Iterable[Any] | None = None, total: int | None = None) -> Any:
        bar = original(iterable=iterable, total=total)
        return _WatchedBar(bar, loop, barless) if barless.gives_way else bar

    return replaced_on_instance(pipeline, "progress_bar", progress_bar)


def has_denoise_loop(target: Any) -> bool:
    """Return whether the object is a pipeline with a progress bar or a scheduler, not a bare callable or module."""
    return callable(getattr(target, "progress_bar", None)) or bool(schedulers_of(target))
