"""The denoise loop is found in every form that pipelines write it, and left as it was."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.denoise_loop import has_denoise_loop, watch_denoise_loop


class Bar:
    """A progress bar as tqdm makes it."""

    def __init__(self, iterable: Iterable[int]) -> None:
        self._iterable = iterable
        self.closed = False
        self.desc = "drawing"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.closed = True

    def __iter__(self) -> Any:
        return iter(self._iterable)

    def update(self, n: int = 1) -> int:
        """Count."""
        return n


class Pipeline:
    """What the probe needs of a pipeline."""

    def progress_bar(self, iterable: Iterable[int] | None = None, total: int | None = None) -> Bar:
        """Open the bar."""
        return Bar(iterable if iterable is not None else range(total or 0))


def test_steps_of_a_with_block() -> None:
    """A step begins with the loop and with each update; after the loop there is none."""
    pipeline, steps = Pipeline(), list[int | None]()
    with watch_denoise_loop(pipeline, steps.append) as loop:
        assert loop.step is None
        with pipeline.progress_bar(total=2) as bar:
            bar.update()
            bar.update()

    assert steps == [0, 1, 2, None]
    assert loop.num_steps == 2


def test_steps_of_an_iterated_bar() -> None:
    """The other form, without a with block."""
    pipeline = Pipeline()
    with watch_denoise_loop(pipeline) as loop:
        seen = [loop.step for _timestep in pipeline.progress_bar([9, 5, 1])]

    assert seen == [0, 1, 2]
    assert loop.num_steps == 3
    assert loop.step is None


def test_several_steps_at_once_and_several_loops_are_counted_on() -> None:
    """`update(2)` is two steps, and a second loop of the same call goes on counting."""
    pipeline = Pipeline()
    with watch_denoise_loop(pipeline) as loop:
        for _loop in range(2):
            with pipeline.progress_bar(total=2) as bar:
                bar.update(2)

    assert loop.num_steps == 4


def test_the_bar_is_otherwise_the_pipelines_own() -> None:
    """Its attributes can be read, and it is closed."""
    pipeline = Pipeline()
    with watch_denoise_loop(pipeline), pipeline.progress_bar(total=1) as bar:
        inner = bar
        assert bar.desc == "drawing"

    assert inner.closed


def fail_in_second_step(pipeline: Pipeline) -> None:
    """Raise in the middle of the loop."""
    with pipeline.progress_bar(total=3) as bar:
        bar.update()
        raise ArithmeticError


def test_a_bar_whose_block_gives_another_object() -> None:
    """A user's progress bar may be any context manager."""

    class Opened(Pipeline):
        @contextmanager
        def progress_bar(self, iterable: Iterable[int] | None = None, total: int | None = None) -> Iterator[Bar]:  # type: ignore[override]
            yield super().progress_bar(iterable, total)

    pipeline = Opened()
    with watch_denoise_loop(pipeline) as loop, pipeline.progress_bar(total=1) as bar:
        bar.update()

    assert loop.num_steps == 1


def test_the_step_that_an_exception_ends_is_known() -> None:
    """Also when the loop has been left by the time that anybody asks."""
    pipeline = Pipeline()
    with watch_denoise_loop(pipeline) as loop:
        assert loop.progress() == "before the denoise loop"
        with pytest.raises(ArithmeticError):
            fail_in_second_step(pipeline)

    assert loop.failed_step == 1
    assert loop.progress() == "in denoise step 1"


def test_how_far_a_call_came_that_did_not_fail_in_its_loop() -> None:
    """What is decoded after the loop may fail too."""
    pipeline = Pipeline()
    with watch_denoise_loop(pipeline) as loop, pipeline.progress_bar(total=1) as bar:
        bar.update()

    assert loop.progress() == "after 1 finished denoise steps"


def test_the_pipeline_is_left_as_it_was() -> None:
    """The class's method is seen again, or the instance's own, also when watches are nested."""
    pipeline, own = Pipeline(), Pipeline()
    vars(own)["progress_bar"] = before = own.progress_bar
    with watch_denoise_loop(pipeline) as outer:
        with watch_denoise_loop(pipeline) as inner, pipeline.progress_bar(total=1) as bar:
            bar.update()
        with pipeline.progress_bar(total=1) as bar:
            bar.update()
    with watch_denoise_loop(own):
        pass

    assert (outer.num_steps, inner.num_steps) == (2, 1)
    assert "progress_bar" not in vars(pipeline)
    assert vars(own)["progress_bar"] is before


def test_something_without_a_loop_is_refused() -> None:
    """The message says how a loop is found."""
    assert not has_denoise_loop(len)
    assert has_denoise_loop(Pipeline())
    message = r"^the denoise loop is found through pipeline.progress_bar\(...\), which int lacks$"
    with pytest.raises(ProbeError, match=message), watch_denoise_loop(3):
        pass
