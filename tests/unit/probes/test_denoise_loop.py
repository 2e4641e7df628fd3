"""Tests of watching the denoise loop through the progress bar, in both of its forms."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.denoise_loop import has_denoise_loop, watch_denoise_loop
from tests.unit.tiny_pipelines import INPUTS, tiny_sdxl


class Bar:
    """A progress bar like tqdm's: a context manager and an iterable with methods of its own."""

    def __init__(self, iterable: Iterable[Any] | None, total: int | None) -> None:
        self.iterable = iterable
        self.total = total
        self.done: list[str] = []

    def __enter__(self) -> Self:
        self.done.append("enter")
        return self

    def __exit__(self, *_exception: object) -> None:
        self.done.append("exit")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.iterable or ())

    def update(self, n: int = 1) -> str:
        """Advance by steps."""
        self.done.append(f"update {n}")
        return "displayed"

    def set_postfix(self, text: str) -> None:
        """Show text, which only the pipeline's own bar supports."""
        self.done.append(text)


class Pipeline:
    """A pipeline with a progress bar, as in diffusers."""

    def __init__(self) -> None:
        self.bars: list[Bar] = []

    def progress_bar(self, iterable: Iterable[Any] | None = None, total: int | None = None) -> Bar:
        """Open a bar."""
        self.bars.append(Bar(iterable, total))
        return self.bars[-1]


def block(pipeline: Any, steps: int = 3) -> None:
    """Run a loop as in Stable Diffusion."""
    with pipeline.progress_bar(total=steps) as bar:
        for _ in range(steps):
            bar.update()


def iterable(pipeline: Any, steps: int = 3) -> None:
    """Run a loop as in older pipelines."""
    for _ in pipeline.progress_bar(range(steps)):
        pass


FORMS = pytest.mark.parametrize("run", [block, iterable])


@FORMS
def test_each_step_is_reported_when_it_starts(run: Callable[[Any], None]) -> None:
    """After the last update one more step starts, until the loop ends."""
    seen: list[int | None] = []
    pipeline = Pipeline()
    with watch_denoise_loop(pipeline, seen.append) as loop:
        run(pipeline)

    assert seen == [0, 1, 2, 3, None]
    assert (loop.num_steps, loop.step) == (3, None)
    loop.require_entered(pipeline)


@FORMS
def test_a_second_loop_of_the_same_call_continues_the_count(run: Callable[[Any], None]) -> None:
    """The loop of a refiner or an upscaler does not start at step 0 again."""
    seen: list[int | None] = []
    pipeline = Pipeline()
    with watch_denoise_loop(pipeline, seen.append) as loop:
        run(pipeline)
        run(pipeline)

    assert seen == [0, 1, 2, 3, None, 3, 4, 5, 6, None]
    assert loop.num_steps == 6


def test_an_update_by_two_finishes_two_steps() -> None:
    """`update(2)`, positional or by keyword."""
    pipeline = Pipeline()
    with watch_denoise_loop(pipeline) as loop, pipeline.progress_bar(total=4) as bar:
        bar.update(2)
        step = loop.step
        bar.update(n=2)

    assert (step, loop.num_steps) == (2, 4)


def test_the_proxy_forwards_everything_to_the_bar() -> None:
    """Enter, update and exit, return values and other methods."""
    pipeline = Pipeline()
    with watch_denoise_loop(pipeline), pipeline.progress_bar(total=1) as bar:
        shown = bar.update()
        bar.set_postfix("noise left")

    assert shown == "displayed"
    assert pipeline.bars[0].total == 1
    assert pipeline.bars[0].done == ["enter", "update 1", "noise left", "exit"]


def test_a_break_ends_an_iterated_loop() -> None:
    """Later work belongs to no step."""
    seen: list[int | None] = []
    pipeline = Pipeline()
    with watch_denoise_loop(pipeline, seen.append):
        for step in pipeline.progress_bar(range(5)):
            if step == 1:
                break

    assert seen == [0, 1, None]


def test_the_steps_of_a_diffusers_pipeline_are_counted() -> None:
    """The pipeline is a tiny SDXL, unmodified."""
    pipeline = tiny_sdxl()
    with watch_denoise_loop(pipeline) as loop:
        pipeline(**INPUTS)

    assert loop.num_steps == 2
    assert "progress_bar" not in vars(pipeline)


@FORMS
def test_a_failing_loop_is_left_and_the_pipeline_restored(run: Callable[[Any], None]) -> None:
    """The class's own progress bar is used again, and the next watch starts from zero."""

    def fail_at_one(step: int | None) -> None:
        if step == 1:
            message = "injected"
            raise RuntimeError(message)

    pipeline = Pipeline()
    with pytest.raises(RuntimeError, match="injected"), watch_denoise_loop(pipeline, fail_at_one) as loop:
        run(pipeline)

    assert loop.step is None
    assert "progress_bar" not in vars(pipeline)
    with watch_denoise_loop(pipeline) as again:
        run(pipeline)
    assert again.num_steps == 3


def test_nested_watches_each_count_every_step() -> None:
    """The outer one continues after the inner one has ended, also after an error."""

    def fail_at_two(step: int | None) -> None:
        if step == 2:
            message = "injected"
            raise RuntimeError(message)

    pipeline = Pipeline()
    with watch_denoise_loop(pipeline) as outer:
        with pytest.raises(RuntimeError, match="injected"), watch_denoise_loop(pipeline, fail_at_two) as inner:
            block(pipeline)
        block(pipeline)

    # The inner watch raised at step 2, before the outer one was updated.
    assert (outer.num_steps, inner.num_steps) == (1 + 3, 2)
    assert "progress_bar" not in vars(pipeline)


def test_a_progress_bar_set_by_the_user_is_restored() -> None:
    """For example on a pipeline whose bar the user has silenced."""
    pipeline: Any = Pipeline()
    silent = pipeline.progress_bar
    pipeline.progress_bar = silent
    with watch_denoise_loop(pipeline) as loop:
        block(pipeline)

    assert loop.num_steps == 3
    assert vars(pipeline)["progress_bar"] is silent


def test_an_object_without_a_progress_bar_is_refused() -> None:
    """The message states how a loop is found, and the class that has none."""
    with pytest.raises(ProbeError) as error, watch_denoise_loop(object()):
        pass

    assert str(error.value) == (
        "no denoise loop: object has no progress_bar method and no scheduler, through which the loop is found"
    )
    assert not has_denoise_loop(object())
    assert has_denoise_loop(Pipeline())


def test_a_call_without_a_loop_is_refused() -> None:
    """Nothing was watched, so that nothing may pass."""
    pipeline = Pipeline()
    with watch_denoise_loop(pipeline) as loop:
        pass

    with pytest.raises(ProbeError) as error:
        loop.require_entered(pipeline)

    assert str(error.value) == (
        "no denoise loop: Pipeline never opened pipeline.progress_bar(...): "
        "open it around the loop, or pass a callable that is one step"
    )


def test_a_loop_without_steps_is_refused() -> None:
    """A bar that is never updated marks no step."""
    pipeline = Pipeline()
    with watch_denoise_loop(pipeline) as loop, pipeline.progress_bar(total=4):
        pass

    with pytest.raises(ProbeError) as error:
        loop.require_entered(pipeline)

    assert str(error.value) == (
        "no denoise step was finished: Pipeline opened its progress bar but never called update() on it"
    )


class Scheduler:
    """A scheduler with timesteps, as in diffusers."""

    def __init__(self, timesteps: int = 3) -> None:
        self.timesteps = list(range(timesteps))

    def step(self, latents: Any) -> Any:
        """Make a step."""
        return (latents,)


class Barless:
    """A pipeline with two denoisers, whose loop opens no bar; the second one runs in the last step."""

    def __init__(self, steps: int = 3) -> None:
        self.components: dict[str, Any] = {
            "transformer": torch.nn.Linear(1, 1),
            "transformer_2": torch.nn.Linear(1, 1),
            "vae": torch.nn.Linear(1, 1),
            "scheduler": Scheduler(steps),
            "audio_scheduler": Scheduler(steps),
        }

    def __call__(self, *, fails_at: int | None = None) -> None:
        """Run the loop, and decode."""
        latents = torch.zeros(1, 1)
        steps = len(self.components["scheduler"].timesteps)
        for number in range(steps):
            self.components["transformer_2" if number == steps - 1 else "transformer"](latents)
            if number == fails_at:
                message = "injected"
                raise RuntimeError(message)
            self.components["scheduler"].step(latents)
            self.components["audio_scheduler"].step(latents)
        self.components["vae"](latents)


def test_a_loop_without_a_bar_is_found_through_its_denoisers_and_its_scheduler() -> None:
    """It starts with the first call of a denoiser and ends with the last timestep; a second scheduler adds no step."""
    seen: list[int | None] = []
    pipeline = Barless()
    with watch_denoise_loop(pipeline, seen.append) as loop:
        pipeline()

    assert has_denoise_loop(pipeline)
    assert seen == [0, 1, 2, 3, None]
    assert (loop.num_steps, loop.step) == (3, None)
    assert not any("step" in vars(pipeline.components[name]) for name in ("scheduler", "audio_scheduler"))
    assert "_compiled_call_impl" not in vars(pipeline.components["transformer"])
    loop.require_entered(pipeline)


def test_a_second_call_without_a_bar_continues_the_count() -> None:
    """As with a bar."""
    pipeline = Barless()
    with watch_denoise_loop(pipeline) as loop:
        pipeline()
        pipeline()

    assert loop.num_steps == 6


def test_the_step_of_a_failure_without_a_bar_is_known() -> None:
    """And every part of the pipeline is restored."""
    pipeline = Barless()
    with pytest.raises(RuntimeError, match="injected"), watch_denoise_loop(pipeline) as loop:
        pipeline(fails_at=1)

    assert loop.failed_step == 1
    assert loop.progress() == "in denoise step 1"
    assert "step" not in vars(pipeline.components["scheduler"])


def test_a_bar_counts_and_not_the_scheduler() -> None:
    """A step of the bar may call the scheduler twice; the denoiser before the bar belongs to no step."""

    class WithBar(Barless):
        def progress_bar(self, iterable: Any = None, total: int | None = None) -> Bar:
            return Bar(iterable, total)

        def __call__(self, *, fails_at: int | None = None) -> None:
            del fails_at
            self.components["transformer"](torch.zeros(1, 1))
            with self.progress_bar(total=2) as bar:
                for _ in range(2):
                    self.components["transformer_2"](torch.zeros(1, 1))
                    self.components["scheduler"].step(0)
                    self.components["scheduler"].step(0)
                    bar.update()

    pipeline = WithBar()
    with watch_denoise_loop(pipeline) as loop:
        pipeline()

    assert loop.num_steps == 2


def test_neither_a_bar_nor_a_scheduler_that_steps_is_an_error() -> None:
    """The message has both ways in which a loop is found."""
    pipeline = Barless(steps=0)
    with watch_denoise_loop(pipeline) as loop:
        pipeline()

    with pytest.raises(ProbeError) as error:
        loop.require_entered(pipeline)
    assert str(error.value) == (
        "no denoise loop: Barless never opened pipeline.progress_bar(...), and never called the step of its scheduler: "
        "open it around the loop, or pass a callable that is one step"
    )


def test_compiled_code_keeps_its_guards_while_its_denoiser_is_watched() -> None:
    """A hook would be a recompile in the test that comes next."""
    pipeline, counter = Barless(), CompileCounter()
    denoiser = pipeline.components["transformer"]
    call = torch.compile(lambda sample: denoiser(sample) + 1, backend=counter)
    call(torch.zeros(1, 1))
    with watch_denoise_loop(pipeline):
        call(torch.zeros(1, 1))
    call(torch.zeros(1, 1))

    assert counter.frame_count == 1
