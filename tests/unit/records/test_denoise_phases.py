"""The steps that each of several denoisers ran, in words."""

import pytest

from pytest_diffopt.records.denoise_phases import several_denoisers


@pytest.mark.parametrize(
    ("denoisers", "text"),
    [
        ((), ""),
        (("unet",), ""),
        (("unet", "unet"), ""),
        (("a", "a", "b"), "steps 0-1: a, step 2: b"),
        (("a", "b", "a"), "step 0: a, step 1: b, step 2: a"),
        (("a + b", "b"), "step 0: a + b, step 1: b"),
        (("a", ""), "step 0: a, step 1: none"),
    ],
)
def test_steps_of_one_denoiser_are_a_range(denoisers: tuple[str, ...], text: str) -> None:
    """A single denoiser needs no words; a step without one is shown."""
    assert several_denoisers(denoisers) == text
