"""Faults of a pipeline's inputs: seeds, masks, images, ControlNets."""

from typing import Any

import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import StableDiffusionImg2ImgPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.schedulers import PNDMScheduler

from benchmarks.injected_faults.declaring import InjectedFault, wrapped

_CONTROLNET_RECIPE = "bf16 + sdpa + channels_last"
_LATENT_CHANNELS = 4


def _without_generator(prepare_latents: Any, *args: Any, **keywords: Any) -> Any:
    kept = [None if isinstance(value, torch.Generator) else value for value in args]
    return prepare_latents(*kept, **keywords)


def _one_noise_for_all(prepare_latents: Any, *args: Any, **keywords: Any) -> Any:
    latents = prepare_latents(*args, **keywords)
    return latents[:1].expand(latents.shape).clone()


def _mask_inverted(preprocess: Any, *args: Any, **keywords: Any) -> Any:
    return 1 - preprocess(*args, **keywords)


def _nothing_masked(prepare: Any, *args: Any, **keywords: Any) -> Any:
    mask, masked_latents = prepare(*args, **keywords)
    return mask, torch.zeros_like(masked_latents)


def _mask_behind_the_image(forward: Any, sample: Any, *args: Any, **keywords: Any) -> Any:
    latents, mask, masked = sample.split([_LATENT_CHANNELS, 1, _LATENT_CHANNELS], dim=1)
    return forward(torch.cat([latents, masked, mask], dim=1), *args, **keywords)


def _mask_of_the_second_half(forward: Any, sample: Any, *args: Any, **keywords: Any) -> Any:
    """Remove the mask of the unprompted half of the batch, as when only one half is conditioned."""
    changed = sample.clone()
    changed[:1, _LATENT_CHANNELS:] = 0
    return forward(changed, *args, **keywords)


def _scale_of_one(forward: Any, *args: Any, **keywords: Any) -> Any:
    return forward(*args, **keywords | {"conditioning_scale": 1.0})


def _scale_as_it_began() -> Any:
    first: list[float] = []

    def kept(forward: Any, *args: Any, conditioning_scale: float, **keywords: Any) -> Any:
        first.append(conditioning_scale)
        return forward(*args, conditioning_scale=first[0], **keywords)

    return kept


def _middle_dropped(forward: Any, *args: Any, **keywords: Any) -> Any:
    middle = torch.zeros_like(keywords["mid_block_additional_residual"])
    return forward(*args, **keywords | {"mid_block_additional_residual": middle})


def _residuals_dropped(forward: Any, *args: Any, **keywords: Any) -> Any:
    down = [torch.zeros_like(residual) for residual in keywords["down_block_additional_residuals"]]
    return _middle_dropped(forward, *args, **keywords | {"down_block_additional_residuals": down})


def _colors_inverted(prepare_image: Any, *args: Any, **keywords: Any) -> Any:
    return 1 - prepare_image(*args, **keywords)


def _every_step(get_timesteps: Any, self: Any, num_inference_steps: int, _strength: float, device: Any) -> Any:
    return get_timesteps(self, num_inference_steps, 1.0, device)


def _noise_of_the_last_step(add_noise: Any, self: Any, original: Any, noise: Any, _timesteps: Any) -> Any:
    return add_noise(self, original, noise, self.timesteps[-1:])


FAULTS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="seed-ignored",
        imitates="the generator is not used for the latents, so every call gives a different image",
        inject=lambda pipeline: wrapped(pipeline, "prepare_latents", _without_generator),
    ),
    InjectedFault(
        name="one-noise-for-the-batch",
        imitates="all images of a batch start from the same noise",
        inputs={"num_images_per_prompt": 2},
        inject=lambda _pipeline: wrapped(StableDiffusionXLPipeline, "prepare_latents", _one_noise_for_all),
    ),
    InjectedFault(
        name="inpainting-mask-inverted",
        imitates="the area to keep is repainted, and the rest is kept",
        pipeline="sd15-inpaint",
        inject=lambda pipeline: wrapped(pipeline.mask_processor, "preprocess", _mask_inverted),
    ),
    InjectedFault(
        name="masked-image-dropped",
        imitates="the latents of the masked image are zero",
        pipeline="sd15-inpaint",
        inject=lambda _pipeline: wrapped(StableDiffusionInpaintPipeline, "prepare_mask_latents", _nothing_masked),
    ),
    InjectedFault(
        name="inpainting-channels-reordered",
        imitates="latents, image and mask are concatenated in a different order than in training",
        pipeline="sd15-inpaint",
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _mask_behind_the_image),
    ),
    InjectedFault(
        name="mask-of-one-half",
        imitates="only the prompted half of the batch gets its mask",
        pipeline="sd15-inpaint",
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _mask_of_the_second_half),
    ),
    InjectedFault(
        name="controlnet-scale-ignored",
        imitates="controlnet_conditioning_scale is compiled as the constant 1",
        precedent="siliconflow/onediff#899",
        pipeline="sd15-controlnet",
        recipe=_CONTROLNET_RECIPE,
        inputs={"controlnet_conditioning_scale": 0.3},
        inject=lambda _pipeline: wrapped(ControlNetModel, "forward", _scale_of_one),
    ),
    InjectedFault(
        name="control-guidance-end-ignored",
        imitates="the ControlNet keeps the scale of the first step to the end",
        precedent="siliconflow/onediff#899",
        pipeline="sd15-controlnet",
        recipe=_CONTROLNET_RECIPE,
        inputs={"control_guidance_end": 0.5},
        inject=lambda pipeline: wrapped(pipeline.controlnet, "forward", _scale_as_it_began()),
    ),
    InjectedFault(
        name="controlnet-residuals-dropped",
        imitates="the ControlNet's residuals are not passed to the UNet",
        pipeline="sd15-controlnet",
        recipe=_CONTROLNET_RECIPE,
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _residuals_dropped),
    ),
    InjectedFault(
        name="controlnet-middle-dropped",
        imitates="the ControlNet's residual of the middle block is omitted",
        pipeline="sd15-controlnet",
        recipe=_CONTROLNET_RECIPE,
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _middle_dropped),
    ),
    InjectedFault(
        name="control-image-inverted",
        imitates="the edges are black on white",
        pipeline="sd15-controlnet",
        recipe=_CONTROLNET_RECIPE,
        inject=lambda _pipeline: wrapped(StableDiffusionControlNetPipeline, "prepare_image", _colors_inverted),
    ),
    InjectedFault(
        name="strength-ignored",
        imitates="image-to-image starts from pure noise for every strength",
        pipeline="sd15-img2img",
        inject=lambda _pipeline: wrapped(StableDiffusionImg2ImgPipeline, "get_timesteps", _every_step),
    ),
    InjectedFault(
        name="noise-of-the-last-step",
        imitates="the start image is noised for the last timestep instead of the first",
        pipeline="sd15-img2img",
        inject=lambda _pipeline: wrapped(PNDMScheduler, "add_noise", _noise_of_the_last_step),
    ),
)
