"""DeepFloyd IF: three pixel-space pipelines that are called one after another.

The first draws 64 x 64 pixels. The second and Stable Diffusion's upscaler each enlarge that image by four. As in the
benchmark on diffusers' "PyTorch 2.0" page, the prompt embeddings of the first two are random numbers. At tiny scale
they encode a prompt, so that the image can be judged.
"""

import warnings
from functools import cache
from typing import Any

import torch

from pytest_diffopt.pipelines.blueprint import Blueprint, Part, Tokenizer
from pytest_diffopt.pipelines.conditioning_images import small_image
from pytest_diffopt.pipelines.deepfloyd_if_chain import DeepFloydIF
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.published import published_config
from pytest_diffopt.pipelines.scale import TINY_PROMPT, Scale
from pytest_diffopt.pipelines.tiny import build_tiny_component, tiny_t5_tokenizer
from pytest_diffopt.pipelines.variations import usual_variations

_PROMPT = "the blue hulk"
_STEPS = (100, 50, 75)  # the pipelines' defaults
_TINY_STEPS = (3, 3, 3)
_GUIDANCE = (7.0, 4.0, 9.0)  # the pipelines' defaults
_TINY_GUIDANCE = (5.0, 2.5, 2.5)  # the tiny weights draw best with these
_NOISE_LEVEL = 100
_UNCHECKED = {"safety_checker": None, "feature_extractor": None, "watermarker": None}

_FIRST = Blueprint(
    class_name="IFPipeline",
    parts={
        "unet": Part(full="IF-I-M-v1.0/unet", tiny="if-1-unet"),
        "scheduler": Part(full="IF-I-M-v1.0/scheduler"),
    },
    tokenizers={"tokenizer": Tokenizer.T5},
    options={"text_encoder": None, "requires_safety_checker": False, **_UNCHECKED},
)
_SECOND = Blueprint(
    class_name="IFSuperResolutionPipeline",
    parts={
        "unet": Part(full="IF-II-M-v1.0/unet", tiny="if-2-unet"),
        "scheduler": Part(full="IF-II-M-v1.0/scheduler"),
        "image_noising_scheduler": Part(full="IF-II-M-v1.0/image_noising_scheduler"),
    },
    tokenizers={"tokenizer": Tokenizer.T5},
    options={"text_encoder": None, "requires_safety_checker": False, **_UNCHECKED},
)
_THIRD = Blueprint(
    class_name="StableDiffusionUpscalePipeline",
    parts={
        "unet": Part(full="stable-diffusion-x4-upscaler/unet", tiny="x4-upscaler-unet"),
        "vae": Part(full="stable-diffusion-x4-upscaler/vae", tiny="sd-vae"),
        "text_encoder": Part(full="stable-diffusion-x4-upscaler/text_encoder", tiny="sd-text-encoder"),
        "scheduler": Part(full="stable-diffusion-x4-upscaler/scheduler"),
        "low_res_scheduler": Part(full="stable-diffusion-x4-upscaler/low_res_scheduler"),
    },
    # The published tokenizer pads with a token that the tiny encoder was not trained on; the operations are the same.
    tokenizers={"tokenizer": Tokenizer.CLIP},
    options=_UNCHECKED,
)


def _prompt(scale: Scale) -> str:
    return TINY_PROMPT if scale is Scale.TINY else _PROMPT


def _steps(scale: Scale) -> tuple[int, ...]:
    return _TINY_STEPS if scale is Scale.TINY else _STEPS


def _guidance(scale: Scale) -> tuple[float, ...]:
    return _TINY_GUIDANCE if scale is Scale.TINY else _GUIDANCE


def _embeddings(scale: Scale) -> dict[str, Any]:
    positive, negative = _prompt_embeddings() if scale is Scale.TINY else _random_embeddings()
    return {"prompt_embeds": positive, "negative_prompt_embeds": negative}


@cache
def _random_embeddings() -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 2, 4096, generator=generator), torch.randn(1, 2, 4096, generator=generator)


@cache
def _prompt_embeddings() -> tuple[Any, Any]:
    tokens = tiny_t5_tokenizer()([TINY_PROMPT, ""], padding="max_length", return_tensors="pt")
    with torch.no_grad(), torch.random.fork_rng():
        encoded = build_tiny_component("t5-text-encoder")(tokens.input_ids, attention_mask=tokens.attention_mask)[0]
    return encoded[:1], encoded[1:]


def _first_inputs(scale: Scale) -> PipelineInputs:
    call = {
        "num_inference_steps": _steps(scale)[0],
        "guidance_scale": _guidance(scale)[0],
        "output_type": "np",
    }
    return PipelineInputs(_embeddings(scale) | call)


def _second_inputs(scale: Scale) -> PipelineInputs:
    call = {
        "num_inference_steps": _steps(scale)[1],
        "guidance_scale": _guidance(scale)[1],
        "output_type": "np",
    }
    return PipelineInputs({"image": small_image(scale)} | _embeddings(scale) | call)


def _third_inputs(scale: Scale) -> PipelineInputs:
    call = {
        "num_inference_steps": _steps(scale)[2],
        "guidance_scale": _guidance(scale)[2],
        "output_type": "np",
    }
    return PipelineInputs({"prompt": _prompt(scale), "image": small_image(scale), "noise_level": _NOISE_LEVEL} | call)


def _chained_inputs(scale: Scale) -> PipelineInputs:
    call: dict[str, Any] = {"num_inference_steps": _steps(scale), "guidance_scale": _guidance(scale)}
    call |= {"noise_level": _NOISE_LEVEL, "output_type": "np"}
    return PipelineInputs({"prompt": _prompt(scale)} | _embeddings(scale) | call)


def _build_tiny_third() -> Any:
    """Build the tiny upscaler with the scaling factor that its VAE was trained with.

    diffusers warns about any factor but the published one and overwrites it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        pipeline = _THIRD.build_tiny()
    pipeline.vae.register_to_config(scaling_factor=published_config("tiny", "sd-vae")["scaling_factor"])
    return pipeline


def _build_tiny_chain() -> Any:
    return DeepFloydIF(_FIRST.build_tiny(), _SECOND.build_tiny(), _build_tiny_third())


def _build_random_chain() -> Any:
    return DeepFloydIF(_FIRST.build_random(), _SECOND.build_random(), _THIRD.build_random())


def _load_options() -> dict[str, Any]:
    return {"text_encoder": None, "requires_safety_checker": False, **_UNCHECKED}


DEEPFLOYD_IF_1 = PipelineFamily(
    name="deepfloyd-if-1",
    hub_id="DeepFloyd/IF-I-M-v1.0",
    class_name=_FIRST.class_name,
    load_options=_load_options,
    build_tiny=_FIRST.build_tiny,
    build_random=_FIRST.build_random,
    inputs=_first_inputs,
    variations=lambda scale: usual_variations(_first_inputs(scale)),
    ships_weights=True,
)
DEEPFLOYD_IF_2 = PipelineFamily(
    name="deepfloyd-if-2",
    hub_id="DeepFloyd/IF-II-M-v1.0",
    class_name=_SECOND.class_name,
    load_options=_load_options,
    build_tiny=_SECOND.build_tiny,
    build_random=_SECOND.build_random,
    inputs=_second_inputs,
    variations=lambda scale: usual_variations(_second_inputs(scale)),
    largest_batch=1,  # the published benchmark upscales one image of the batch
    ships_weights=True,
)
DEEPFLOYD_IF_3 = PipelineFamily(
    name="deepfloyd-if-3",
    hub_id="stabilityai/stable-diffusion-x4-upscaler",
    class_name=_THIRD.class_name,
    build_tiny=_build_tiny_third,
    build_random=_THIRD.build_random,
    inputs=_third_inputs,
    variations=lambda scale: usual_variations(_third_inputs(scale)),
    largest_batch=1,
    ships_weights=True,
)
DEEPFLOYD_IF = PipelineFamily(
    name="deepfloyd-if",
    stages=(DEEPFLOYD_IF_1, DEEPFLOYD_IF_2, DEEPFLOYD_IF_3),
    chain=DeepFloydIF,
    build_tiny=_build_tiny_chain,
    build_random=_build_random_chain,
    inputs=_chained_inputs,
    variations=lambda scale: usual_variations(_chained_inputs(scale)),
    ships_weights=True,
)
