"""Faults of classifier-free guidance: order, scale, rescaling, negative prompts."""

from typing import Any

import torch
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline

from benchmarks.injected_faults.declaring import InjectedFault, configured, replaced, wrapped

_NEGATIVE_PROMPT = "a yellow square on a green background"


def _halves_swapped(forward: Any, *args: Any, **keywords: Any) -> Any:
    first, second = forward(*args, **keywords)[0].chunk(2)
    return (torch.cat([second, first]),)


def _as_it_was(rescale: Any, noise: Any, *args: Any, **keywords: Any) -> Any:
    del rescale, args, keywords
    return noise


def _without_negative_prompt(encode_prompt: Any, *args: Any, **keywords: Any) -> Any:
    return encode_prompt(*args, **keywords | {"negative_prompt": None, "negative_prompt_2": None})


def _seen_twice(forward: Any, *args: Any, **keywords: Any) -> Any:
    """Return the output of the prompted half for both halves, which makes guidance ineffective."""
    _, with_prompt = forward(*args, **keywords)[0].chunk(2)
    return (torch.cat([with_prompt, with_prompt]),)


FAULTS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="guidance-order-swapped",
        imitates="the unprompted half is used as the prompted half",
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _halves_swapped),
    ),
    InjectedFault(
        name="guidance-scale-one-more",
        imitates="guidance starts from the prompted output, so the effective scale is higher by 1",
        inject=lambda _pipeline: replaced(
            StableDiffusionXLPipeline, "guidance_scale", property(lambda self: self._guidance_scale + 1)
        ),
    ),
    InjectedFault(
        name="guidance-off",
        imitates="guidance_scale is not passed on, so the pipeline runs without guidance",
        precedent="vllm-project/vllm-omni#922",
        inject=lambda _pipeline: replaced(
            StableDiffusionXLPipeline, "do_classifier_free_guidance", property(lambda _self: False)
        ),
    ),
    InjectedFault(
        name="guidance-halves-alike",
        imitates="both halves share a cache, so guidance is computed without effect",
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _seen_twice),
    ),
    InjectedFault(
        name="guidance-rescale-lost",
        imitates="guidance_rescale is accepted but not applied",
        inputs={"guidance_rescale": 0.7},
        inject=lambda _pipeline: wrapped(pipeline_stable_diffusion_xl, "rescale_noise_cfg", _as_it_was),
    ),
    InjectedFault(
        name="negative-prompt-ignored",
        imitates="negative_prompt is accepted but not encoded",
        inputs={"negative_prompt": _NEGATIVE_PROMPT},
        inject=lambda _pipeline: wrapped(StableDiffusionXLPipeline, "encode_prompt", _without_negative_prompt),
    ),
    InjectedFault(
        name="empty-prompt-not-zero",
        imitates="force_zeros_for_empty_prompt is lost when the pipeline is saved",
        inject=lambda pipeline: configured(pipeline, force_zeros_for_empty_prompt=False),
    ),
)
