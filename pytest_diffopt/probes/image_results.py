"""One call of a pipeline as the image guard needs it: what it drew, and the latents on the way there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.image_arrays import Pixels, images_of
from pytest_diffopt.probes.images import compare_images
from pytest_diffopt.probes.latents import compare_latents, drift, latents_of, watch_latents
from pytest_diffopt.records import ImageRecord, Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageResult:
    """What one call gave.

    Attributes:
        images: float in [0, 1], shape (number, height, width, channels); None where it gave latents.
        latents: what it gave in place of images; None where it gave images.
        steps: the latents after each denoise step; empty where no scheduler was seen.
    """

    images: Pixels | None
    latents: torch.Tensor | None = None
    steps: tuple[torch.Tensor, ...] = ()


def draw(target: Any, call: Callable[[], Any], inputs: Mapping[str, Any] | None = None) -> ImageResult:
    """Make a call, and keep what it gives.

    Args:
        target: the pipeline that the call is of.
        call: the call.
        inputs: its keywords, which say whether latents are asked for.

    Raises:
        ProbeError: it gave neither images nor latents.
    """
    __tracebackhide__ = True
    with watch_latents(target) as steps:
        output = call()
    return result_of(output, inputs, steps=tuple(step.cpu() for step in steps))


def result_of(
    output: Any, inputs: Mapping[str, Any] | None = None, *, steps: tuple[torch.Tensor, ...] = ()
) -> ImageResult:
    """Read what somebody else drew.

    Args:
        output: a pipeline's output, in any form that `images_of` takes, or latents.
        inputs: keywords of the call that gave it, where they are known.
        steps: the latents after each denoise step, where they are known.

    Raises:
        ProbeError: it holds neither images nor latents.
    """
    latents = latents_of(output, inputs)
    # copied: the next call may draw into the same memory
    images = images_of(output).copy() if latents is None else None
    return ImageResult(images=images, latents=None if latents is None else latents.clone(), steps=steps)


def compare_results(
    result: ImageResult, reference: ImageResult, subject: Subject, *, with_lpips: bool = False
) -> ImageRecord:
    """Compare what two calls gave: images with images, latents with latents, and step by step.

    Args:
        result: what the optimized pipeline gave.
        reference: what the plain one gave.
        subject: the optimized pipeline.
        with_lpips: measure LPIPS of the images, too.

    Raises:
        ProbeError: one gave images and the other latents, or of another number or size; or LPIPS cannot be measured.
    """
    steps = drift(result.steps, reference.steps)
    if result.latents is not None and reference.latents is not None:
        if with_lpips:
            msg = "LPIPS is measured of images, got: latents; leave max_lpips out, or ask the pipeline for images"
            raise ProbeError(msg)
        latents = compare_latents(result.latents, reference.latents)
        return ImageRecord(subject=subject, differences=(), latents=latents, drift=steps)
    if result.images is None or reference.images is None:
        ours, theirs = ("latents" if one.images is None else "images" for one in (result, reference))
        msg = f"images are compared with images and latents with latents, got: {ours} and {theirs}"
        raise ProbeError(msg)
    images = compare_images(result.images, reference.images, subject, with_lpips=with_lpips)
    return replace(images, drift=steps)
