"""The calls from which thresholds are learned, each drawn by both pipelines and compared as it would be stored."""

from typing import Any

import numpy as np
import torch

from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.probes.image_results import ImageResult
from pytest_diffopt.probes.image_samples import (
    as_stored,
    calls_to_learn_from,
    levels_of,
    result_from_stored,
    sample_images,
    stored_latents,
)
from pytest_diffopt.records import Subject

SUBJECT = Subject(pipeline="noise")


def noise(generator: torch.Generator, prompt: str = "", brightness: float = 0.0) -> torch.Tensor:
    """Draw an image of the generator's noise."""
    return torch.rand(1, 3, 16, 16, generator=generator) * 0.9 + len(prompt) / 1000 + brightness


def brighter(**inputs: Any) -> torch.Tensor:
    """Draw the same, a little brighter."""
    return noise(**inputs, brightness=0.01)


def test_the_own_call_the_variations_and_more_seeds() -> None:
    """Variations that change the pipeline itself are left out: they are no calls of this recipe."""
    plain = PipelineInputs({"prompt": "circle"}, seed=5)
    variations = [plain.varied("another prompt", prompt="square"), plain.within("another scheduler", lambda _: None)]  # type: ignore[arg-type, return-value]
    calls = calls_to_learn_from((), dict(plain), variations)

    assert list(calls) == ["the test's own call", "another prompt", "seed 6", "seed 7", "seed 8"]
    assert calls["seed 7"].inputs["generator"].initial_seed() == 7


def test_a_call_without_a_generator_is_repeated() -> None:
    """To see whether it draws the same each time."""
    assert list(calls_to_learn_from((), {"prompt": "circle"}, [{"prompt": "square"}])) == [
        "the test's own call",
        "variation 0",
        "the own call, second time",
        "the own call, third time",
    ]


def test_both_pipelines_make_one_and_the_same_call() -> None:
    """One generator serves both, from the same state."""
    calls = calls_to_learn_from((), {"generator": torch.Generator().manual_seed(0)}, ())
    samples = list(sample_images(brighter, noise, calls, SUBJECT))

    errors = [sample.record.differences[0].mean_error for sample in samples]
    assert [sample.call for sample in samples] == ["the test's own call", "seed 1", "seed 2", "seed 3"]
    assert all(abs(error - 0.01) < 0.001 for error in errors)
    assert len({sample.reference.images.tobytes() for sample in samples if sample.reference.images is not None}) == 4


def test_what_is_stored_comes_back() -> None:
    """Images of eight bits, latents of single precision, steps in their order."""
    steps = tuple(torch.full((1, 4), float(step), dtype=torch.float64) for step in range(11))
    images = np.random.default_rng(0).random((2, 4, 4, 3))
    result = ImageResult(images=images, steps=steps)
    found = result_from_stored(levels_of(result), stored_latents(result))

    assert found.images is not None
    assert np.abs(found.images - images).max() <= 0.5 / 255 + 1e-12
    assert [float(step[0, 0]) for step in found.steps] == list(range(11))
    assert found.latents is None


def test_latents_in_place_of_images_come_back() -> None:
    """There are no levels then."""
    latents = torch.randn(1, 4, 2, 2, dtype=torch.bfloat16)
    result = ImageResult(images=None, latents=latents)
    found = as_stored(result)

    assert levels_of(result) == []
    assert found.images is None
    assert found.latents is not None
    assert torch.equal(found.latents, latents.float())
