"""Faults of the autoencoder and of the postprocessing of its output."""

from typing import Any

import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.models.upsampling import Upsample2D
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img
from torch.nn import functional

from benchmarks.injected_faults.declaring import InjectedFault, configured, wrapped

_SDXL_SCALING = 0.13025
# Magnitude of activations in the published SDXL VAE; the largest float16 is 65504.
_LARGE = 1e6
_WHITE = 255


def _scaled_again(decode: Any, latents: Any, *args: Any, **keywords: Any) -> Any:
    return decode(latents / decode.__self__.config.scaling_factor, *args, **keywords)


def _through_float16(forward: Any, *args: Any, **keywords: Any) -> Any:
    output = forward(*args, **keywords)
    return ((output.float() * _LARGE).to(torch.float16).float() / _LARGE).to(output.dtype)


def _read_as_channels_first(forward: Any, *args: Any, **keywords: Any) -> Any:
    output = forward(*args, **keywords)
    return output.permute(0, 2, 3, 1).reshape(output.shape)


def _smooth_upsampling(forward: Any, *args: Any, **keywords: Any) -> Any:
    def bilinear(interpolate: Any, *inner: Any, **options: Any) -> Any:
        return interpolate(*inner, **options | {"mode": "bilinear"})

    with wrapped(functional, "interpolate", bilinear):
        return forward(*args, **keywords)


def _last_row_unwritten(forward: Any, *args: Any, **keywords: Any) -> Any:
    output = forward(*args, **keywords).clone()
    output[..., -1, :] = 0
    return output


def _seam(forward: Any, *args: Any, **keywords: Any) -> Any:
    """Shift the right half of the image left by one pixel, as two tiles with a wrong overlap do."""
    output = forward(*args, **keywords)
    middle = output.shape[-1] // 2
    return torch.cat([output[..., :middle], output[..., middle:].roll(-1, dims=-1)], dim=-1)


def _first_twice(decode: Any, latents: Any, *args: Any, **keywords: Any) -> Any:
    return decode(latents[:1].expand(latents.shape).clone(), *args, **keywords)


def _blue_first(postprocess: Any, *args: Any, **keywords: Any) -> Any:
    return postprocess(*args, **keywords)[..., ::-1].copy()


def _not_shifted(denormalize: Any, images: Any, *args: Any, **keywords: Any) -> Any:
    del denormalize, args, keywords
    return images.clamp(0, 1)


def _wrapped_around(denormalize: Any, images: Any, *args: Any, **keywords: Any) -> Any:
    del denormalize, args, keywords
    return ((images / 2 + 0.5) * _WHITE).round().remainder(_WHITE + 1) / _WHITE


def _any_sample(sample: Any, self: Any, *args: Any, **keywords: Any) -> Any:
    del args, keywords
    return sample(self)


def _latents_unscaled(retrieve: Any, output: Any, *args: Any, **keywords: Any) -> Any:
    return retrieve(output, *args, **keywords) * 2


def _most_likely(retrieve: Any, output: Any, *args: Any, **keywords: Any) -> Any:
    del retrieve, args, keywords
    return output.latent_dist.mean + output.latent_dist.std


def _without_shift(decode: Any, latents: Any, *args: Any, **keywords: Any) -> Any:
    return decode(latents - (decode.__self__.config.shift_factor or 0), *args, **keywords)


FAULTS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="vae-scaling-factor",
        imitates="the scaling factors of SDXL's and Stable Diffusion's VAE are confused",
        inject=lambda pipeline: configured(pipeline.vae, scaling_factor=_SDXL_SCALING),
    ),
    InjectedFault(
        name="vae-scaling-twice",
        imitates="both pipeline and VAE divide by the scaling factor",
        inject=lambda pipeline: wrapped(pipeline.vae, "decode", _scaled_again),
    ),
    InjectedFault(
        name="vae-shift-lost",
        imitates="SD3's shift factor is not added before decoding",
        pipeline="sd3",
        inject=lambda pipeline: wrapped(pipeline.vae, "decode", _without_shift),
    ),
    InjectedFault(
        name="vae-overflows-float16",
        imitates="the decoder's activations overflow float16: Inf, then NaN, then black",
        precedent="huggingface/diffusers#4325",
        inject=lambda pipeline: wrapped(pipeline.vae.decoder.mid_block, "forward", _through_float16),
    ),
    InjectedFault(
        name="channels-last-permutation",
        imitates="an NHWC output is read as NCHW",
        precedent="pytorch/pytorch#62594 (strides misread by a norm)",
        inject=lambda pipeline: wrapped(pipeline.vae.decoder.conv_in, "forward", _read_as_channels_first),
    ),
    InjectedFault(
        name="smooth-upsampling",
        imitates="upsampling is bilinear, but the weights expect nearest",
        inject=lambda _pipeline: wrapped(Upsample2D, "forward", _smooth_upsampling),
    ),
    InjectedFault(
        name="last-row-unwritten",
        imitates="a kernel's mask omits the last row of pixels",
        inject=lambda pipeline: wrapped(pipeline.vae.decoder.conv_out, "forward", _last_row_unwritten),
    ),
    InjectedFault(
        name="seam-between-tiles",
        imitates="two tiles of the VAE overlap by one pixel too many",
        inject=lambda pipeline: wrapped(pipeline.vae.decoder, "forward", _seam),
    ),
    InjectedFault(
        name="batch-decoded-as-its-first",
        imitates="sliced decoding returns the first image for the whole batch",
        inputs={"num_images_per_prompt": 2},
        inject=lambda pipeline: wrapped(pipeline.vae, "decode", _first_twice),
    ),
    InjectedFault(
        name="red-and-blue-swapped",
        imitates="the image is returned as BGR",
        inject=lambda _pipeline: wrapped(VaeImageProcessor, "postprocess", _blue_first),
    ),
    InjectedFault(
        name="image-not-denormalized",
        imitates="[-1, 1] is clamped to [0, 1] instead of shifted",
        inject=lambda _pipeline: wrapped(VaeImageProcessor, "denormalize", _not_shifted),
    ),
    InjectedFault(
        name="image-not-clamped",
        imitates="values above white wrap around to black in the conversion to bytes",
        inject=lambda _pipeline: wrapped(VaeImageProcessor, "denormalize", _wrapped_around),
    ),
    InjectedFault(
        name="posterior-sampled-without-generator",
        imitates="the VAE's encoder uses the global random state",
        pipeline="sd15-img2img",
        inject=lambda _pipeline: wrapped(DiagonalGaussianDistribution, "sample", _any_sample),
    ),
    InjectedFault(
        name="encoded-latents-doubled",
        imitates="both the encoder and the pipeline apply a scaling factor",
        pipeline="sd15-img2img",
        inject=lambda _pipeline: wrapped(pipeline_stable_diffusion_img2img, "retrieve_latents", _latents_unscaled),
    ),
    InjectedFault(
        name="posterior-noise-of-one",
        imitates="the posterior's noise is a constant 1 instead of random",
        pipeline="sd15-img2img",
        inject=lambda _pipeline: wrapped(pipeline_stable_diffusion_img2img, "retrieve_latents", _most_likely),
    ),
)
