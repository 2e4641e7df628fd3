"""Every lesson, ordered so that each comes after the lessons whose components it uses."""

from tools.tiny_training.autoencoders import KLAutoencoderLesson, TinyAutoencoderLesson
from tools.tiny_training.denoisers import (
    ControlNetLesson,
    InpaintLesson,
    LatentLesson,
    LatentUpscalerLesson,
    PixArtLesson,
    PixelLesson,
    PixelUpscalerLesson,
    SDXLLesson,
)
from tools.tiny_training.flows import FlowLesson, FluxLesson, ZImageLesson
from tools.tiny_training.lesson import Lesson
from tools.tiny_training.reading import QwenReadingLesson, ReadingLesson, SecondReadingLesson, T5ReadingLesson
from tools.tiny_training.videos import VideoAutoencoderLesson, VideoReadingLesson, WanLesson

_CLIP, _CLIP_2, _T5 = "sd-text-encoder", "sdxl-text-encoder-2", "t5-text-encoder"
_QWEN, _Z_VAE = "z-image-text-encoder", "z-image-vae"
_UMT5, _WAN_VAE, _WAN = "wan-text-encoder", "wan-vae", "wan-transformer"

CURRICULUM: tuple[Lesson, ...] = (
    ReadingLesson(name=_CLIP, steps=3000),
    SecondReadingLesson(name=_CLIP_2, steps=2000),
    T5ReadingLesson(name=_T5, steps=2000),
    KLAutoencoderLesson(name="sd-vae", steps=3000),
    PixelLesson(name="if-1-unet", uses=(_T5,), width=32, steps=5000),
    LatentLesson(name="sd15-unet", uses=("sd-vae", _CLIP), steps=5000),
    SDXLLesson(
        name="sdxl-unet",
        uses=("sd-vae", _CLIP, _CLIP_2),
        schedule="stable-diffusion-xl-base-1.0",
        steps=4500,
    ),
    PixArtLesson(name="pixart-transformer", uses=("sd-vae", _T5), steps=46000),
    InpaintLesson(
        name="sd15-inpaint-unet",
        uses=("sd-vae", _CLIP),
        schedule="stable-diffusion-inpainting",
        starts_from="sd15-unet",
        steps=1000,
    ),
    ControlNetLesson(name="sd15-controlnet", uses=("sd-vae", _CLIP, "sd15-unet"), starts_from="sd15-unet", steps=1200),
    PixelUpscalerLesson(name="if-2-unet", uses=(_T5,), steps=9000),
    LatentUpscalerLesson(name="x4-upscaler-unet", uses=("sd-vae", _CLIP), steps=6000),
    KLAutoencoderLesson(name="sd3-vae", starts_from="sd-vae", steps=1000),
    FlowLesson(name="sd3-transformer", uses=("sd3-vae", _CLIP_2, _T5), steps=34000),
    FluxLesson(name="flux-transformer", uses=("sd3-vae", _CLIP, _T5), steps=48000),
    LatentLesson(name="bk-sdm-unet", uses=("sd-vae", _CLIP), starts_from="sd15-unet", steps=6000),
    SDXLLesson(
        name="ssd-1b-unet",
        uses=("sd-vae", _CLIP, _CLIP_2),
        schedule="stable-diffusion-xl-base-1.0",
        starts_from="sdxl-unet",
        steps=2500,
    ),
    TinyAutoencoderLesson(name="taesd", uses=("sd-vae",), steps=1500),
    QwenReadingLesson(name=_QWEN, steps=1200, batch_size=32),
    # The weights stay the same: only the latents are rescaled to another scaling factor.
    KLAutoencoderLesson(name=_Z_VAE, starts_from="sd-vae", number_of_scenes=512, steps=1, batch_size=1),
    ZImageLesson(
        name="z-image-transformer",
        uses=(_Z_VAE, _QWEN),
        learning_rate=2e-3,
        muon_rate=4e-3,
        number_of_scenes=4096,
        steps=4000,
    ),
    VideoReadingLesson(name=_UMT5, steps=1000, batch_size=32),
    VideoAutoencoderLesson(name=_WAN_VAE, number_of_scenes=4096, steps=15500, batch_size=12),
    WanLesson(
        name=_WAN,
        uses=(_WAN_VAE, _UMT5),
        learning_rate=2e-3,
        muon_rate=4e-3,
        number_of_scenes=4096,
        batch_size=32,
        steps=4800,
    ),
    WanLesson(
        name="wan-transformer-2",
        uses=(_WAN_VAE, _UMT5),
        starts_from=_WAN,
        highest_time=0.875,
        number_of_scenes=4096,
        batch_size=32,
        steps=500,
    ),
)
