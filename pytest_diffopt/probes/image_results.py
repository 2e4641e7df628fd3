"""One call of a pipeline as the picture guard needs it: what it drew, and the latents on the way there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.image_arrays import Pixels, pictures_of
from pytest_diffopt.probes.images import compare_images
from pytest_diffopt.probes.latents import compare_latents, drift, latents_of, watch_latents
from pytest_diffopt.records import ImageRecord, Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """What one call gave.

    Attributes:
        pictures: float in [0, 1], shape (number, height, width, channels); None where it gave latents.
        latents: what it gave in place of pictures; None where it gave pictures.
        steps: the latents after each denoise step; empty where no scheduler was seen.
    """

    pictures: Pixels | None
    latents: torch.Tensor | None = None
    steps: tuple[torch.Tensor, ...] = ()


def draw(target: Any, call: Callable[[], Any], inputs: Mapping[str, Any] | None = None) -> Drawing:
    """Make a call, and keep what it gives.

    Args:
        target: the pipeline that the call is of.
        call: the call.
        inputs: its keywords, which say whether latents are asked for.

    Raises:
        ProbeError: it gave neither pictures nor latents.
    """
    __tracebackhide__ = True
    with watch_latents(target) as steps:
        output = call()
    return drawing_of(output, inputs, steps=tuple(step.cpu() for step in steps))


def drawing_of(
    output: Any, inputs: Mapping[str, Any] | None = None, *, steps: tuple[torch.Tensor, ...] = ()
) -> Drawing:
    """Read what somebody else drew.

    Args:
        output: a pipeline's output, in any form that `pictures_of` takes, or latents.
        inputs: keywords of the call that gave it, where they are known.
        steps: the latents after each denoise step, where they are known.

    Raises:
        ProbeError: it holds neither pictures nor latents.
    """
    latents = latents_of(output, inputs)
    # copied: the next call may draw into the same memory
    pictures = pictures_of(output).copy() if latents is None else None
    return Drawing(pictures=pictures, latents=None if latents is None else latents.clone(), steps=steps)


def compare_drawings(
    drawing: Drawing, reference: Drawing, subject: Subject, *, with_lpips: bool = False
) -> ImageRecord:
    """Compare what two calls gave: pictures with pictures, latents with latents, and step by step.

    Args:
        drawing: what the optimized pipeline gave.
        reference: what the plain one gave.
        subject: the optimized pipeline.
        with_lpips: measure LPIPS of the pictures, too.

    Raises:
        ProbeError: one gave pictures and the other latents, or of another number or size; or LPIPS cannot be measured.
    """
    steps = drift(drawing.steps, reference.steps)
    if drawing.latents is not None and reference.latents is not None:
        if with_lpips:
            msg = "LPIPS is measured of pictures, got: latents; leave max_lpips out, or ask the pipeline for pictures"
            raise ProbeError(msg)
        latents = compare_latents(drawing.latents, reference.latents)
        return ImageRecord(subject=subject, differences=(), latents=latents, drift=steps)
    if drawing.pictures is None or reference.pictures is None:
        ours, theirs = ("latents" if one.pictures is None else "pictures" for one in (drawing, reference))
        msg = f"pictures are compared with pictures and latents with latents, got: {ours} and {theirs}"
        raise ProbeError(msg)
    pictures = compare_images(drawing.pictures, reference.pictures, subject, with_lpips=with_lpips)
    return replace(pictures, drift=steps)
