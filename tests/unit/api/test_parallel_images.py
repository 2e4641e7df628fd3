"""`assert_same_images_in_parallel` refuses what no process could run, and an answer is read as it was written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pytest_diffopt import assert_same_images_in_parallel
from pytest_diffopt.api.parallel_answer import Rank, RankAnswer, answer_together, read_answer
from pytest_diffopt.errors import DiffoptError, ProbeError
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.probes.audio import Waveforms
from pytest_diffopt.probes.image_results import ImageResult
from pytest_diffopt.records import EffectRecord, OptimizationEffect, Subject
from pytest_diffopt.session.active_test import ActiveTest, running

NAME = "assert_same_images_in_parallel"
REFUSED = {
    "": f'{NAME} needs a recipe: mark the test with @pytest.mark.diffopt(recipe="...") or pass recipe="..."',
    "bf16 + sdpa": f"{NAME} needs a recipe with context_parallel or tensor_parallel, got: bf16 + sdpa",
    "context_parallel(ulysses=3)": (
        "context_parallel(ulysses=3) must divide the attention heads of transformer, got: 4; choose a divisor, or "
        "anything=True"
    ),
    "tensor_parallel": (
        f"{NAME} runs the test again in other processes, which build the pipeline themselves; it needs a test that "
        "pytest runs, got: a call outside pytest"
    ),
}


@pytest.mark.parametrize("recipe", REFUSED)
def test_it_is_refused_before_the_call(recipe: str) -> None:
    """Without a parallel recipe, with one that does not fit the pipeline, or outside of pytest."""
    flux = build_pipeline(find_pipeline("flux"), Scale.TINY).pipeline
    with running(ActiveTest(recipe_text=recipe)), pytest.raises(DiffoptError) as error:
        assert_same_images_in_parallel(flux, prompt=None)

    assert str(error.value) == REFUSED[recipe]


def answer(**parts: Any) -> RankAnswer:
    """Return an answer."""
    effect = OptimizationEffect(name="tensor_parallel", figure="collectives", value=2, bytes_per_step=(8, 8))
    subject = Subject(pipeline="flux", rank="rank 0 of 1")
    effects = EffectRecord(subject=subject, num_steps=2, operations=9, seen_by="the CPU", effects=(effect,))
    return RankAnswer(result=ImageResult(**parts), effects=effects)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rank:
    """Return the only process of a group."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    return Rank(number=0, processes=1, folder=tmp_path)


@pytest.mark.parametrize(
    "parts",
    [
        {"images": np.full((2, 4, 4, 3), 0.5), "steps": (torch.ones(1, 2), torch.zeros(1, 2)), "denoisers": ("unet",)},
        {
            "images": np.full((6, 4, 4, 3), 0.5, dtype=np.float32),
            "frames_per_video": 3,
            "audio": Waveforms(samples=np.zeros((2, 1, 8)), rate_hz=16_000),
        },
        {"images": None, "latents": torch.ones(1, 4, dtype=torch.bfloat16), "audio_latents": torch.ones(1, 2)},
    ],
    ids=["images", "videos with audio", "latents"],
)
def test_an_answer_is_read_as_it_was_written(alone: Rank, parts: dict[str, Any]) -> None:
    """With every part of a result, its type, and the effects."""
    answer_together(alone, lambda: answer(**parts))
    read, written = read_answer(alone.answer_file), answer(**parts)

    assert read.effects == written.effects
    assert (read.result.kinds, read.result.frames_per_video) == (written.result.kinds, written.result.frames_per_video)
    assert read.result.denoisers == written.result.denoisers
    assert values_of(read.result) == values_of(written.result)


def values_of(result: ImageResult) -> list[tuple[str, Any]]:
    """Return the type and the values of each part of a result."""
    audio = result.audio.samples if result.audio else None
    rate = result.audio.rate_hz if result.audio else 0
    parts = [result.images, audio, result.latents, result.audio_latents, *result.steps]
    return [("rate", rate), *((str(one.dtype), one.tolist()) for one in parts if one is not None)]


def test_an_error_is_written_and_raised(alone: Rank) -> None:
    """An error of this package has what to do; of any other, the line is added."""

    def fail(error: Exception) -> RankAnswer:
        raise error

    with pytest.raises(ProbeError):
        answer_together(alone, lambda: fail(ProbeError("write another recipe")))
    assert alone.error_file.read_text(encoding="utf-8") == "write another recipe"
    with pytest.raises(ValueError, match="no"):
        answer_together(alone, lambda: fail(ValueError("no\nmemory")))
    text = alone.error_file.read_text(encoding="utf-8")
    assert text.startswith("ValueError: no memory (test_parallel_images.py:")
    assert text.endswith(", in fail)")
    assert not alone.answer_file.exists()
