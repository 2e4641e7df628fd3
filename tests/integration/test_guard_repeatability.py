"""State that leaks from one call into the next fails the test."""

import pytest

REPEATABLE = """
import pytest
import small_pipeline
from pytest_diffopt import assert_repeatable

class Pipeline(small_pipeline.SmallPipeline):
    calls = 0

    def __call__(self, **inputs):
        self.calls += 1
        output = super().__call__(**inputs)
        {leak}
        return output

@pytest.fixture
def optimized_pipeline():
    return small_pipeline.build(pipeline=Pipeline)

def test_repeatable(optimized_pipeline, pipeline_inputs):
    assert_repeatable(optimized_pipeline, {bound}**pipeline_inputs)
"""


def run(project: pytest.Pytester, leak: str, bound: str = "") -> pytest.RunResult:
    """Run the test on a pipeline with this leak."""
    project.makepyfile(test_it=REPEATABLE.format(leak=leak, bound=bound))
    return project.runpytest_inprocess()


@pytest.mark.parametrize(
    ("leak", "bound"),
    [
        ("pass", ""),
        ("output.images[0, 0, 0, 0] = float('nan')", ""),
        ("output.images[0, 0, 0, 0] += self.calls / 1000", "max_error=0.01, "),
    ],
    ids=["clean", "NaN both times", "within the bound"],
)
def test_the_same_image_twice_passes(own_pipeline: pytest.Pytester, leak: str, bound: str) -> None:
    """Equal bits pass although the inputs share one generator; a stated bound passes what is below it."""
    run(own_pipeline, leak, bound).assert_outcomes(passed=1)


def test_a_counter_that_leaks_fails(own_pipeline: pytest.Pytester) -> None:
    """How many values differ, by how much, and where to look."""
    result = run(own_pipeline, "output.images[0, 0, 0, 0] += self.calls")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "diffopt: the same call gave a different image the second time",
            "  1 of 768 values differ (0.1%)",
            "  largest difference 1 (0 allowed)",
            "seen in pipeline Pipeline (weights: the user's own)",
            (
                "look for state kept between calls: an output buffer that is reused, a scheduler that is not reset, "
                "a generator that is not seeded; or allow a bound: max_error=..."
            ),
        ],
        consecutive=True,
    )


def test_a_reused_buffer_is_detected(own_pipeline: pytest.Pytester) -> None:
    """The first output is compared as it was, not as the second call leaves it."""
    leak = (
        "self.buffer = getattr(self, 'buffer', output.images); "
        "self.buffer[:] = self.calls / 10; output.images = self.buffer"
    )
    result = run(own_pipeline, leak)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  768 of 768 values differ (100.0%)", "  largest difference 0.1 (0 allowed)"])


def test_a_bound_is_printed_after_the_figure(own_pipeline: pytest.Pytester) -> None:
    """A difference past the bound fails."""
    result = run(own_pipeline, "output.images[0, 0, 0, 0] += self.calls", bound="max_error=0.5, ")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  largest difference 1 (0.5 allowed)"])


def test_outputs_of_two_shapes_are_an_error(own_pipeline: pytest.Pytester) -> None:
    """They cannot be compared, and the message has no traceback."""
    result = run(own_pipeline, "output.images = output.images[:, self.calls:]")

    result.assert_outcomes(failed=1)
    assert (
        "diffopt: both outputs of the same call must have one shape, got: (1, 15, 16, 3) and (1, 14, 16, 3)"
        in result.outlines
    )


AFTER = "after=[small_pipeline.inputs() | {'prompt': 'a much longer prompt', 'num_inference_steps': 2}], "


@pytest.mark.parametrize(
    ("leak", "headline"),
    [
        ("pass", ""),
        ("Pipeline.last = inputs['prompt']", ""),
        (
            "output.images[0, 0, 0, 0] = len(getattr(Pipeline, 'last', '')); Pipeline.last = inputs['prompt']",
            "diffopt: the same call gave a different image the second time",
        ),
        (
            "output.images[0, 0, 0, 0] = 0 if self.calls < 3 or inputs['num_inference_steps'] != 2 else 1",
            "diffopt: the call 'other 0' gave a different image the second time",
        ),
    ],
    ids=["clean", "unused state", "the prompt before", "the other call"],
)
def test_state_left_by_other_calls_is_detected(own_pipeline: pytest.Pytester, leak: str, headline: str) -> None:
    """All calls run in order and then in reverse, and each must draw the same image again."""
    own_pipeline.makeconftest(
        own_pipeline.path.joinpath("conftest.py")
        .read_text()
        .replace("small_pipeline.inputs()", "small_pipeline.inputs() | {'num_inference_steps': 3}")
    )
    result = run(own_pipeline, leak, AFTER)

    result.assert_outcomes(failed=1 if headline else 0, passed=0 if headline else 1)
    assert not headline or headline in result.outlines
