"""The steps that each denoiser ran, in words, and whether they were watched."""

import pytest

from pytest_diffopt.records import DenoiserEvidence


def evidence(*, operations: int = 5, **calls: tuple[int, ...]) -> DenoiserEvidence:
    """Return the evidence of calls that ran the same number of operations each."""
    ran = {name: tuple(operations * number for number in numbers) for name, numbers in calls.items()}
    return DenoiserEvidence(calls=calls, operations=ran)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (evidence(unet=(1,)), "step 0: unet"),
        (evidence(unet=(1, 2)), "steps 0-1: unet"),
        (evidence(a=(1, 1, 0), b=(0, 0, 1)), "steps 0-1: a, step 2: b"),
        (evidence(a=(1, 0, 1), b=(0, 1, 0)), "step 0: a, step 1: b, step 2: a"),
        (evidence(a=(1, 0), b=(1, 1)), "step 0: a + b, step 1: b"),
        (evidence(a=(1, 0)), "step 0: a, step 1: none"),
    ],
)
def test_steps_of_one_denoiser_are_a_range(found: DenoiserEvidence, text: str) -> None:
    """A step without a denoiser is shown."""
    assert str(found) == text


@pytest.mark.parametrize(
    ("found", "unwatched_steps"),
    [
        (evidence(unet=(1, 0, 2)), ()),
        (evidence(unet=(1, 0, 2), operations=0), (0, 2)),
        (DenoiserEvidence(calls={"a": (1, 1), "b": (1, 0)}, operations={"a": (5, 5), "b": (0, 0)}), (0,)),
    ],
)
def test_each_denoiser_must_run_where_it_is_called(found: DenoiserEvidence, unwatched_steps: tuple[int, ...]) -> None:
    """The operations of another denoiser in the same step are no evidence."""
    assert found.unwatched_steps == unwatched_steps
    assert found.is_watched is not bool(unwatched_steps)


def test_a_loop_that_calls_no_denoiser_is_not_watched() -> None:
    """Although no step is unwatched."""
    found = evidence(unet=(0, 0))

    assert found.unwatched_steps == ()
    assert not found.is_watched
