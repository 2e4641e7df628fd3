"""The three pipelines of DeepFloyd IF called one after another, as the seed calls them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_diffopt.errors import PipelineError
from pytest_diffopt.pipelines.chained import ChainedPipeline

_STAGES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class DeepFloydIFOutput:
    """What the stages drew.

    Attributes:
        images: what the upscaler made of the first stage's image; what diffusers' own outputs call so.
        first: 64 x 64 pixels in [-1, 1], every image of the batch.
        second: the first of them at 256 x 256, likewise.
    """

    images: Any
    first: Any
    second: Any


class DeepFloydIF(ChainedPipeline):
    """`IFPipeline`; on its image `IFSuperResolutionPipeline` and `StableDiffusionUpscalePipeline`."""

    def __init__(self, *stages: Any) -> None:
        super().__init__(*stages)
        # IF draws in [-1, 1]; the upscaler would take that for a mistake, read the image back to find out, and warn.
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
        """Draw.

        Args:
            prompt: what the upscaler is told, which has a text encoder of its own.
            prompt_embeds: what the two IF stages are told.
            negative_prompt_embeds: what their guidance leads away from.
            num_inference_steps: of every stage, or of each; None leaves it to them.
            guidance_scale: of every stage, or of each; None leaves it to them.
            num_images_per_prompt: how many images the first stage draws; the others enlarge the first of them.
            noise_level: how much noise the upscaler adds to what it is given.
            generator: draws the noise of all stages.
            output_type: of the last image.

        Raises:
            PipelineError: there are other than three numbers of steps or guidance scales.
        """
        steps = _of_stages("num_inference_steps", num_inference_steps)
        guidance = _of_stages("guidance_scale", guidance_scale)
        asked = [taken | led for taken, led in zip(steps, guidance, strict=True)]
        told = {"prompt_embeds": prompt_embeds, "negative_prompt_embeds": negative_prompt_embeds}
        drawn = {"generator": generator, "output_type": "pt"} | told
        draw, enlarge, upscale = self.stages
        first = draw(num_images_per_prompt=num_images_per_prompt, **drawn, **asked[0]).images
        second = enlarge(image=first[:1], **drawn, **asked[1]).images
        third = upscale(
            prompt,
            image=first[:1],
            noise_level=noise_level,
            generator=generator,
            output_type=output_type,
            **asked[2],
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
