"""The three pipelines of DeepFloyd IF as one pipeline, chained as in the benchmark of diffusers' "PyTorch 2.0" page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.chained import ChainedPipeline

_STAGES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class DeepFloydIFOutput:
    """The images of all stages.

    Attributes:
        images: the upscaler's output for the first stage's image; named as in diffusers' own outputs.
        first: the first stage's batch, 64 x 64 pixels in [-1, 1].
        second: the first image of that batch, enlarged to 256 x 256 pixels in [-1, 1].
    """

    images: Any
    first: Any
    second: Any


class DeepFloydIF(ChainedPipeline):
    """`IFPipeline`, followed by `IFSuperResolutionPipeline` and `StableDiffusionUpscalePipeline` on its image."""

    def __init__(self, *stages: Any) -> None:
        super().__init__(*stages)
        # IF draws in [-1, 1]. The upscaler would otherwise read the image back to check its range, and warn.
        stages[-1].image_processor.register_to_config(do_normalize=False)

    def __call__(  # noqa: PLR0913 - a pipeline's call has many keywords
        self,
        prompt: str,
        *,
        prompt_embeds: Any,
        negative_prompt_embeds: Any,
        num_inference_steps: int | Sequence[int] | None = None,
        guidance_scale: float | Sequence[float] | None = None,
        num_images_per_prompt: int = 1,
        noise_level: int = 100,
        generator: Any = None,
        output_type: str = "np",
    ) -> DeepFloydIFOutput:
        """Draw the images of all stages.

        Args:
            prompt: the prompt of the upscaler, which has its own text encoder.
            prompt_embeds: the prompt embeddings of the two IF stages.
            negative_prompt_embeds: the negative prompt embeddings of the two IF stages.
            num_inference_steps: one number for all stages, or one per stage; None for each stage's default.
            guidance_scale: one scale for all stages, or one per stage; None for each stage's default.
            num_images_per_prompt: the first stage's batch size; the other stages upscale the first image.
            noise_level: the amount of noise that the upscaler adds to its input.
            generator: the random generator of all stages.
            output_type: the type of the last image.

        Raises:
            PipelineError: the number of steps or guidance scales is neither one nor three.
        """
        steps = _of_stages("num_inference_steps", num_inference_steps)
        guidance = _of_stages("guidance_scale", guidance_scale)
        per_stage = [one | other for one, other in zip(steps, guidance, strict=True)]
        embeddings = {"prompt_embeds": prompt_embeds, "negative_prompt_embeds": negative_prompt_embeds}
        common = {"generator": generator, "output_type": "pt"} | embeddings
        draw, enlarge, upscale = self.stages
        first = draw(num_images_per_prompt=num_images_per_prompt, **common, **per_stage[0]).images
        second = enlarge(image=first[:1], **common, **per_stage[1]).images
        third = upscale(
            prompt,
            image=first[:1],
            noise_level=noise_level,
            generator=generator,
            output_type=output_type,
            **per_stage[2],
        ).images
        return DeepFloydIFOutput(images=third, first=first, second=second)


def _of_stages(keyword: str, given: float | Sequence[float] | None) -> list[dict[str, float]]:
    if given is None:
        return [{}] * _STAGES
    numbers = [given] * _STAGES if isinstance(given, int | float) else list(given)
    if len(numbers) != _STAGES:
        msg = f"{keyword} must be one number, or one for each of the {_STAGES} stages, got: {given}"
        raise PipelineError(msg)
    return [{keyword: number} for number in numbers]
