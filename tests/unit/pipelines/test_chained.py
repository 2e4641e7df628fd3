"""A chain has the interface of one pipeline and calls its stages as the published benchmark does."""

from typing import Any

import numpy as np
import pytest
import torch

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.components import denoiser_names
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.probes.denoise_loop import watch_denoise_loop

FAMILY = find_pipeline("deepfloyd-if")
INPUTS = FAMILY.inputs(Scale.TINY)


@pytest.fixture(scope="module")
def chain() -> Any:
    """Build the three stages once, for all tests that do not change them."""
    return build_pipeline(FAMILY, Scale.TINY).pipeline


def test_components_are_numbered_by_stage(chain: Any) -> None:
    """Each component is an attribute with that name."""
    first, second, third = chain.stages

    assert denoiser_names(chain) == ("unet_1", "unet_2", "unet_3")
    assert (chain.unet_1, chain.unet_2, chain.vae_3) == (first.unet, second.unet, third.vae)
    assert chain.components["image_noising_scheduler_2"] is second.image_noising_scheduler
    assert chain.text_encoder_1 is None


def test_an_unknown_attribute_raises_attribute_error(chain: Any) -> None:
    """`hasattr` returns False."""
    with pytest.raises(AttributeError, match="'DeepFloydIF' object has no attribute 'vae'"):
        _ = chain.vae


def test_the_denoise_loops_are_watched_as_one(chain: Any) -> None:
    """The step numbers continue from stage to stage; between two loops there is no step."""
    seen: list[int | None] = []
    with watch_denoise_loop(chain, seen.append) as loop:
        chain(**INPUTS.varied("few steps", num_inference_steps=(1, 2, 1)))

    assert seen == [0, 1, None, 1, 2, 3, None, 3, 4, None]
    assert loop.num_steps == 4
    assert "progress_bar" not in vars(chain)


def test_progress_bars_can_be_silenced_and_shown(chain: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Each stage shows one tqdm bar."""
    chain.set_progress_bar_config(disable=False)
    chain(**INPUTS.varied("one step each", num_inference_steps=1))
    shown = capsys.readouterr().err
    chain.set_progress_bar_config(disable=True)
    chain(**INPUTS.varied("one step each", num_inference_steps=1))

    assert ["100%|" in line for line in shown.split("\n")] == [True, True, True, False]
    assert capsys.readouterr().err == ""


def test_both_upscalers_enlarge_the_first_image(chain: Any) -> None:
    """As in the published benchmark, the third stage gets the first stage's image, not the second's."""
    given: dict[str, Any] = {}
    hook = chain.stages[2].image_processor.preprocess

    def preprocess(image: Any, *args: Any, **kwargs: Any) -> Any:
        given["image"] = image
        return hook(image, *args, **kwargs)

    chain.stages[2].image_processor.preprocess = preprocess
    try:
        output = chain(**INPUTS)
    finally:
        del chain.stages[2].image_processor.preprocess

    assert torch.equal(given["image"], output.first)
    assert [tuple(one.shape) for one in (output.first, output.second)] == [(1, 3, 32, 32), (1, 3, 64, 64)]
    assert output.images.shape == (1, 128, 128, 3)


def test_only_the_first_stage_draws_a_batch(chain: Any) -> None:
    """The other stages receive one image, as in the published benchmark."""
    output = chain(**INPUTS.varied("batch 2", num_images_per_prompt=2, num_inference_steps=1))

    assert [len(one) for one in (output.first, output.second, output.images)] == [2, 1, 1]


def test_the_same_call_draws_the_same_image(chain: Any) -> None:
    """One generator draws the noise of all stages; another seed draws another image."""
    first, second = chain(**INPUTS).images, chain(**INPUTS).images

    assert np.array_equal(first, second)
    assert not np.array_equal(first, chain(**INPUTS.varied("another seed", seed=1)).images)


def test_steps_default_to_those_of_each_stage(chain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One number sets the steps of all stages."""
    steps: list[Any] = []

    def stage(**call: Any) -> Any:
        steps.append(call.get("num_inference_steps"))
        return type("Output", (), {"images": torch.zeros(1, 3, 8, 8)})

    monkeypatch.setattr(chain, "stages", (stage, stage, lambda _prompt, **call: stage(**call)))
    embeddings = {"prompt_embeds": None, "negative_prompt_embeds": None}
    chain("p", **embeddings)
    chain("p", num_inference_steps=7, **embeddings)

    assert steps == [None, None, None, 7, 7, 7]


@pytest.mark.parametrize("steps", [(1, 2), (1, 2, 3, 4)])
def test_steps_for_other_than_three_stages_are_an_error(chain: Any, steps: tuple[int, ...]) -> None:
    """The message shows the rule and the value."""
    with pytest.raises(PipelineError) as error:
        chain(**INPUTS.varied("steps", num_inference_steps=steps))

    assert str(error.value) == (
        f"num_inference_steps must be one number, or one for each of the 3 stages, got: {steps}"
    )


def test_every_stage_is_moved() -> None:
    """`to` changes the dtype and the device."""
    chain = build_pipeline(FAMILY, Scale.TINY).pipeline
    assert chain.to(torch.bfloat16) is chain

    assert [stage.unet.dtype for stage in chain.stages] == [torch.bfloat16] * 3
    assert (chain.dtype, chain.device) == (torch.bfloat16, torch.device("cpu"))


def test_the_tiny_upscaler_keeps_the_scaling_that_its_vae_was_trained_with() -> None:
    """Diffusers alone would overwrite it with the published factor."""
    assert build_pipeline(find_pipeline("deepfloyd-if-3"), Scale.TINY).pipeline.vae.config.scaling_factor == 0.18215
