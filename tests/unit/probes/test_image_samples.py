"""Tests of the calls from which image thresholds are learned, and of the stored form of a result."""

from typing import Any

import numpy as np
import torch

from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.probes.image_results import ImageResult
from pytest_diffopt.probes.image_samples import (
    as_stored,
    calls_to_learn_from,
    result_from_stored,
    sample_images,
    stored_latents,
    uint8_images,
)
from pytest_diffopt.records import Subject

SUBJECT = Subject(pipeline="noise")


def noise(generator: torch.Generator, prompt: str = "", brightness: float = 0.0) -> torch.Tensor:
    """Return an image of the generator's noise."""
    return torch.rand(1, 3, 16, 16, generator=generator) * 0.9 + len(prompt) / 1000 + brightness


def brighter(**inputs: Any) -> torch.Tensor:
    """Return the same image, slightly brighter."""
    return noise(**inputs, brightness=0.01)


def test_calls_are_the_own_call_its_variations_and_other_seeds() -> None:
    """Variations that change the pipeline itself are left out."""
    plain = PipelineInputs({"prompt": "circle"}, seed=5)
    variations = [plain.varied("another prompt", prompt="square"), plain.within("another scheduler", lambda _: None)]  # type: ignore[arg-type, return-value]
    calls = calls_to_learn_from((), dict(plain), variations)

    assert list(calls) == ["the test's own call", "another prompt", "seed 6", "seed 7", "seed 8"]
    assert calls["seed 7"].inputs["generator"].initial_seed() == 7


def test_a_call_without_a_generator_is_repeated() -> None:
    """The repetitions show whether the image is the same each time."""
    assert list(calls_to_learn_from((), {"prompt": "circle"}, [{"prompt": "square"}])) == [
        "the test's own call",
        "variation 0",
        "the test's own call, second time",
        "the test's own call, third time",
    ]


def test_both_pipelines_make_the_same_call() -> None:
    """Both use the same generator from the same state."""
    calls = calls_to_learn_from((), {"generator": torch.Generator().manual_seed(0)}, ())
    samples = list(sample_images(brighter, noise, calls, SUBJECT))

    errors = [sample.record.differences[0].mean_error for sample in samples]
    assert [sample.call for sample in samples] == ["the test's own call", "seed 1", "seed 2", "seed 3"]
    assert all(abs(error - 0.01) < 0.001 for error in errors)
    assert len({sample.reference.images.tobytes() for sample in samples if sample.reference.images is not None}) == 4


def test_a_stored_result_is_restored() -> None:
    """Images with eight bits, latents in single precision, steps in order."""
    steps = tuple(torch.full((1, 4), float(step), dtype=torch.float64) for step in range(11))
    images = np.random.default_rng(0).random((2, 4, 4, 3))
    result = ImageResult(images=images, steps=steps)
    found = result_from_stored(uint8_images(result), stored_latents(result))

    assert found.images is not None
    assert np.abs(found.images - images).max() <= 0.5 / 255 + 1e-12
    assert [float(step[0, 0]) for step in found.steps] == list(range(11))
    assert found.latents is None


def test_stored_latents_are_restored_without_images() -> None:
    """A result of latents has no images to store."""
    latents = torch.randn(1, 4, 2, 2, dtype=torch.bfloat16)
    result = ImageResult(images=None, latents=latents)
    found = as_stored(result)

    assert uint8_images(result) == []
    assert found.images is None
    assert found.latents is not None
    assert torch.equal(found.latents, latents.float())
