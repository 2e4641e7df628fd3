"""Every named pipeline has the published architecture at full scale, and the same classes at tiny scale."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.pipelines.hunyuan_video1_5.pipeline_hunyuan_video1_5 import format_text_input
from torch.nn import ModuleList

from pytest_diffopt.pipelines.components import denoiser_names, modules_of
from pytest_diffopt.pipelines.conditioning_images import outline
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline, known_pipelines
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.probes.call_outputs import named_values
from pytest_diffopt.records import Weights

SD15_UNET, SD_VAE, CLIP = 859_520_964, 83_653_863, 123_060_480
INPAINT_UNET, CONTROLNET, SMALL_UNET, TINY_VAE = 859_535_364, 361_279_120, 482_346_884, 2_445_063
SDXL_UNET, OPEN_CLIP, SSD_UNET, T5 = 2_567_463_684, 694_659_840, 1_331_334_404, 4_762_310_656
PIXART, FLOW_VAE, QWEN3 = 611_349_152, 83_819_683, 4_022_468_096
SD15_ENCODERS = {"text_encoder": CLIP}
SDXL_ENCODERS = {"text_encoder": CLIP, "text_encoder_2": OPEN_CLIP}
SD35_PARTS = {"vae": FLOW_VAE, "text_encoder": 123_650_304, "text_encoder_2": OPEN_CLIP, "text_encoder_3": T5}
WAN_PARTS = {"vae": 126_892_531, "text_encoder": 5_680_910_336}
FLUX_PARTS = {"vae": FLOW_VAE, "text_encoder": CLIP, "text_encoder_2": T5}
UPSCALER = {"unet": 473_398_020, "vae": 55_325_927, "text_encoder": 340_387_840}
PUBLISHED = {
    "sd15": {"unet": SD15_UNET, "vae": SD_VAE} | SD15_ENCODERS,
    "sd15-img2img": {"unet": SD15_UNET, "vae": SD_VAE} | SD15_ENCODERS,
    "sd15-inpaint": {"unet": INPAINT_UNET, "vae": SD_VAE} | SD15_ENCODERS,
    "sd15-controlnet": {"unet": SD15_UNET, "vae": SD_VAE, "controlnet": CONTROLNET} | SD15_ENCODERS,
    "deepfloyd-if-1": {"unet": 371_605_830},
    "deepfloyd-if-2": {"unet": 512_999_430},
    "deepfloyd-if-3": UPSCALER,
    "deepfloyd-if": {
        "unet_1": 371_605_830,
        "unet_2": 512_999_430,
        **{f"{name}_3": count for name, count in UPSCALER.items()},
    },
    "sdxl": {"unet": SDXL_UNET, "vae": SD_VAE} | SDXL_ENCODERS,
    "sdxl-taesd": {"unet": SDXL_UNET, "vae": TINY_VAE} | SDXL_ENCODERS,
    "ssd-1b": {"unet": SSD_UNET, "vae": SD_VAE} | SDXL_ENCODERS,
    "pixart-alpha": {"transformer": PIXART, "vae": SD_VAE, "text_encoder": T5},
    "bk-sdm": {"unet": SMALL_UNET, "vae": SD_VAE} | SD15_ENCODERS,
    "bk-sdm-taesd": {"unet": SMALL_UNET, "vae": TINY_VAE} | SD15_ENCODERS,
    "sd3": {
        "transformer": 2_028_328_000,
        "vae": FLOW_VAE,
        "text_encoder": 123_650_304,
        "text_encoder_2": OPEN_CLIP,
        "text_encoder_3": T5,
    },
    "flux": {"transformer": 11_901_408_320} | FLUX_PARTS,
    "flux-schnell": {"transformer": 11_891_178_560} | FLUX_PARTS,
    # Counts of the hub's files: shared by several parties, see pipelines/configs.
    "qwen-image": {"transformer": 20_430_401_088, "vae": 126_892_531, "text_encoder": 8_292_166_656},
    "qwen-image-edit": {"transformer": 20_430_401_088, "vae": 126_892_531, "text_encoder": 8_292_166_656},
    "flux2-klein": {"transformer": 3_875_544_576, "vae": 84_046_115, "text_encoder": QWEN3},
    "z-image": {"transformer": 6_154_908_736, "vae": FLOW_VAE, "text_encoder": QWEN3},
    "chroma": {"transformer": 8_899_983_424, "vae": FLOW_VAE, "text_encoder": T5},
    "sana": {"transformer": 1_604_462_752, "vae": 312_250_275, "text_encoder": 2_614_341_888},
    "sd35-medium": {"transformer": 2_243_171_520} | SD35_PARTS,
    "sd35-large": {"transformer": 8_056_627_520} | SD35_PARTS,
    "wan-t2v-1.3b": {"transformer": 1_418_996_800} | WAN_PARTS,
    "wan-t2v-a14b": {"transformer": 14_288_491_584, "transformer_2": 14_288_491_584} | WAN_PARTS,
    "ltx2": {
        "transformer": 18_876_174_592,
        "connectors": 1_431_475_200,
        "vae": 1_222_479_601,
        "audio_vae": 53_248_146,
        "vocoder": 55_592_802,
        "text_encoder": 12_187_325_040,
    },
    "hunyuan-video-1.5": {
        "transformer": 8_326_608_160,
        "vae": 1_260_634_115,
        "text_encoder": 7_070_619_136,
        "text_encoder_2": 219_314_944,
    },
    "cogvideox": {"transformer": 5_570_283_072, "vae": 215_583_907, "text_encoder": T5},
}
# The calls of diffusers' "PyTorch 2.0" and "Accelerate inference" pages and of the article *Diffusion, Fast*.
PUBLISHED_CALLS = {
    "sd15": ("StableDiffusionPipeline", "stable-diffusion-v1-5/stable-diffusion-v1-5", 512, 50),
    "sd15-img2img": ("StableDiffusionImg2ImgPipeline", "stable-diffusion-v1-5/stable-diffusion-v1-5", None, 50),
    "sd15-inpaint": (
        "StableDiffusionInpaintPipeline",
        "stable-diffusion-v1-5/stable-diffusion-inpainting",
        512,
        50,
    ),
    "sd15-controlnet": (
        "StableDiffusionControlNetPipeline",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        512,
        50,
    ),
    "deepfloyd-if-1": ("IFPipeline", "DeepFloyd/IF-I-M-v1.0", None, 100),
    "deepfloyd-if-2": ("IFSuperResolutionPipeline", "DeepFloyd/IF-II-M-v1.0", None, 50),
    "deepfloyd-if-3": ("StableDiffusionUpscalePipeline", "stabilityai/stable-diffusion-x4-upscaler", None, 75),
    "sdxl": ("StableDiffusionXLPipeline", "stabilityai/stable-diffusion-xl-base-1.0", 1024, 30),
    "ssd-1b": ("StableDiffusionXLPipeline", "segmind/SSD-1B", 1024, 30),
    "pixart-alpha": ("PixArtAlphaPipeline", "PixArt-alpha/PixArt-XL-2-1024-MS", 1024, 30),
    "bk-sdm": ("StableDiffusionPipeline", "nota-ai/bk-sdm-small", 512, 25),
    "qwen-image": ("QwenImagePipeline", "Qwen/Qwen-Image", 1024, 50),
    "qwen-image-edit": ("QwenImageEditPlusPipeline", "Qwen/Qwen-Image-Edit-2511", 1024, 50),
    "flux2-klein": ("Flux2KleinPipeline", "black-forest-labs/FLUX.2-klein-4B", 1024, 4),
    "z-image": ("ZImagePipeline", "Tongyi-MAI/Z-Image-Turbo", 1024, 8),
    "chroma": ("ChromaPipeline", "lodestones/Chroma1-HD", 1024, 35),
    "sana": ("SanaPipeline", "Efficient-Large-Model/Sana_1600M_1024px_diffusers", 1024, 20),
    "sd35-large": ("StableDiffusion3Pipeline", "stabilityai/stable-diffusion-3.5-large", 1024, 28),
}
# The height, width, number of frames and of steps of the doc strings of diffusers' pipelines.
PUBLISHED_VIDEOS = {
    "wan-t2v-1.3b": ("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", 480, 832, 81, 50),
    "wan-t2v-a14b": ("Wan-AI/Wan2.2-T2V-A14B-Diffusers", 720, 1280, 81, 50),
    "ltx2": ("Lightricks/LTX-2", 512, 768, 121, 40),
    "hunyuan-video-1.5": ("hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-480p_t2v", 480, 848, 121, 50),
    "cogvideox": ("zai-org/CogVideoX-5b", 480, 720, 49, 50),
}

RANDOM = (
    *("qwen-image", "qwen-image-edit", "flux2-klein", "chroma", "sana", "sd35-medium", "sd35-large"),
    *("ltx2", "hunyuan-video-1.5", "cogvideox"),
)
VISIBLE = 0.003

every_family = pytest.mark.parametrize("name", PUBLISHED)


@cache
def published(name: str) -> Any:
    """Build the published architecture on the meta device, without memory."""
    build = find_pipeline(name).build_random
    assert build is not None
    with torch.device("meta"):
        return build()


@pytest.fixture(scope="module", autouse=True)
def _forget() -> Iterator[None]:
    yield
    published.cache_clear()


def tiny(name: str) -> Any:
    """Build the tiny pipeline."""
    return build_pipeline(find_pipeline(name), Scale.TINY).pipeline


def test_every_family_has_published_counts() -> None:
    """A new family needs an entry in `PUBLISHED`."""
    assert set(PUBLISHED) == set(known_pipelines())


@every_family
def test_the_full_scale_is_the_published_architecture(name: str) -> None:
    """Each module has the number of parameters of the published weights, and there is no other module."""
    counts = {
        part: sum(parameter.numel() for parameter in module.parameters())
        for part, module in modules_of(published(name)).items()
    }

    assert counts == PUBLISHED[name]


@every_family
def test_both_scales_have_the_same_classes(name: str) -> None:
    """The modules have the same names and classes, and are in evaluation mode."""
    small, full = tiny(name), published(name)

    assert type(small) is type(full)
    assert denoiser_names(small) == denoiser_names(full)
    assert {part: type(one) for part, one in small.components.items()}.items() >= {
        part: type(one)
        for part, one in full.components.items()
        if not (name.startswith("sd3") and part == "text_encoder")
    }.items()
    assert not any(module.training for pipeline in (small, full) for module in modules_of(pipeline).values())


@every_family
def test_the_tiny_scale_has_the_published_schedulers(name: str) -> None:
    """The schedulers' configurations are equal at both scales."""
    small, full = (
        {part: dict(one.config) for part, one in pipeline.components.items() if part.split("_")[-1].startswith("sched")}
        for pipeline in (tiny(name), published(name))
    )

    assert small == full
    assert small or name == "deepfloyd-if"


@every_family
def test_every_build_draws_the_same_image(name: str) -> None:
    """The image is finite, and the state of torch's default generator does not change."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    inputs = find_pipeline(name).inputs(Scale.TINY)
    pipeline = tiny(name)
    first, second, other = (named_values(one(**inputs)) for one in (pipeline, pipeline, tiny(name)))

    for part, values in first.items():
        assert np.array_equal(values, second[part])
        assert np.array_equal(values, other[part])
        assert np.isfinite(values).all()
    assert torch.equal(torch.get_rng_state(), before)


@every_family
def test_a_tiny_pipeline_names_its_weights(name: str) -> None:
    """It uses the weights that the package includes, or random ones."""
    built = build_pipeline(find_pipeline(name), Scale.TINY)

    assert (built.weights, built.origin) == (
        (Weights.RANDOM, "random, the same in every build")
        if name in RANDOM
        else (Weights.PRETRAINED, "trained, shipped with pytest-diffopt")
    )


@pytest.mark.parametrize("name", RANDOM)
def test_the_prompt_and_every_block_change_the_image_of_random_weights(name: str) -> None:
    """Untrained models often ignore both: then no guard could see that an optimization breaks a block."""
    inputs, pipeline = find_pipeline(name).inputs(Scale.TINY), tiny(name)
    plain = drawn(pipeline, inputs)
    other_prompt = drawn(pipeline, inputs.varied("prompt", prompt="a green square on a white background"))
    denoisers = [modules_of(pipeline)[part] for part in denoiser_names(pipeline)]
    lists = [part for one in denoisers for part in one.children() if isinstance(part, ModuleList)]
    blocks = [block for part in lists for block in part]
    without = [_without_block(pipeline, block, inputs) for block in blocks]

    assert min(np.abs(image - plain).mean() for image in (other_prompt, *without)) > VISIBLE
    assert plain.std() > 10 * VISIBLE
    assert len(blocks) > 1


def drawn(pipeline: Any, inputs: PipelineInputs) -> Any:
    """Return the images or frames of a call."""
    values = named_values(pipeline(**inputs))
    return values.get("frames", values.get("images"))


def test_an_edit_image_changes_the_image_and_its_prompt() -> None:
    """The tokens of a second image are both in the image and in the prompt."""
    inputs, pipeline = find_pipeline("qwen-image-edit").inputs(Scale.TINY), tiny("qwen-image-edit")
    plain = drawn(pipeline, inputs)
    other = drawn(pipeline, inputs.varied("another image", image=[outline(Scale.TINY)]))
    lengths = [
        pipeline.encode_prompt("a red circle", image=[image.resize((384, 384)) for image in inputs["image"] * count])[0]
        for count in (1, 2)
    ]

    assert np.abs(other - plain).mean() > VISIBLE
    assert lengths[1].shape[1] - lengths[0].shape[1] > 16


@pytest.mark.parametrize("name", ["qwen-image", "qwen-image-edit", "hunyuan-video-1.5"])
def test_the_instruction_before_the_prompt_has_its_published_length(name: str) -> None:
    """The pipeline drops that many tokens: what is left starts with the prompt, or with the edit image."""
    pipeline = tiny(name)
    if name == "hunyuan-video-1.5":
        messages = format_text_input(["circle"], pipeline.system_message)
        text = pipeline.tokenizer.apply_chat_template(messages[0], add_generation_prompt=True, tokenize=False)
    else:
        text = pipeline.prompt_template_encode.format("circle")
    left = pipeline.tokenizer(text).input_ids[pipeline.prompt_template_encode_start_idx :]

    assert pipeline.tokenizer.decode(left).startswith("circle")


def test_both_denoisers_have_other_weights() -> None:
    """Else a boundary at the wrong step would change nothing."""
    pipeline = tiny("wan-t2v-a14b")
    both = [next(modules_of(pipeline)[name].parameters()) for name in denoiser_names(pipeline)]

    assert not torch.equal(*both)


def _without_block(pipeline: Any, block: Any, inputs: PipelineInputs) -> Any:
    kept = {key: value.clone() for key, value in block.state_dict().items()}
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.mul_(0.5)
    image = drawn(pipeline, inputs)
    block.load_state_dict(kept)
    return image


@every_family
def test_a_tiny_pipeline_is_tiny(name: str) -> None:
    """It has fewer than two million parameters, on the CPU, in float32.

    The projection of HunyuanVideo's glyphs has a fixed width of 2048, and so four million parameters of its own.
    """
    tensors = [one for module in modules_of(tiny(name)).values() for one in module.parameters()]

    assert sum(tensor.numel() for tensor in tensors) < 2_000_000 + 4_300_000 * (name == "hunyuan-video-1.5")
    assert {(tensor.device.type, tensor.dtype) for tensor in tensors} == {("cpu", torch.float32)}


@every_family
def test_both_scales_are_called_with_the_same_keywords(name: str) -> None:
    """A test for one scale runs at the other."""
    inputs = find_pipeline(name).inputs

    assert set(inputs(Scale.TINY)) == set(inputs(Scale.FULL))


@pytest.mark.parametrize("name", PUBLISHED_CALLS)
def test_the_full_call_is_the_published_call(name: str) -> None:
    """The class, the repository, the size and the number of steps are equal."""
    family, (class_name, hub_id, height, steps) = find_pipeline(name), PUBLISHED_CALLS[name]
    call = family.inputs(Scale.FULL)

    assert (family.class_name, family.hub_id) == (class_name, hub_id)
    assert (call.get("height"), call.get("width"), call["num_inference_steps"]) == (height, height, steps)
    assert hasattr(diffusers, class_name)


@pytest.mark.parametrize("name", PUBLISHED_VIDEOS)
def test_the_full_call_of_a_video_is_the_published_call(name: str) -> None:
    """The repository, the size and the numbers of frames and steps are equal."""
    family = find_pipeline(name)
    call = family.inputs(Scale.FULL)
    sizes = (call[key] for key in ("height", "width", "num_frames", "num_inference_steps"))

    assert (family.hub_id, *sizes) == PUBLISHED_VIDEOS[name]


@every_family
def test_variations_change_one_thing_each(name: str) -> None:
    """No variation changes a shape: each has another prompt, guidance, number of steps or seed."""
    family = find_pipeline(name)
    plain, variations = family.inputs(Scale.TINY), family.variations(Scale.TINY)
    changed = [
        {key for key in one if key != "generator" and one[key] is not plain[key] and one[key] != plain[key]}
        for one in variations
    ]

    assert all(len(change) <= 1 for change in changed)
    assert variations[0].label == "the same call again"
    assert variations[-1].seed == 1
    assert {"num_inference_steps"} in changed


def test_the_scheduler_is_always_on_the_cpu() -> None:
    """Diffusers converts its tables to numpy arrays, which needs the CPU; `from_pretrained` also puts it there."""
    scheduler = published("sdxl").scheduler
    scheduler.set_timesteps(30)

    assert scheduler.alphas_cumprod.device.type == "cpu"
    assert len(scheduler.timesteps) == 30


def test_the_inpainting_unet_sees_mask_and_masked_image() -> None:
    """Nine channels: four of the latents, one of the mask, four of the masked image."""
    assert tiny("sd15-inpaint").unet.config.in_channels == published("sd15-inpaint").unet.config.in_channels == 9
