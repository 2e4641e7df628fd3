"""Result of one call for the image guard: images, videos, audio or latents, and the latents of each step."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.audio import Waveforms, compare_audio, sampling_rate_hz, waveforms_of
from pytest_diffopt.probes.call_outputs import CallOutputs, outputs_of, videos_of
from pytest_diffopt.probes.denoise_loop import DenoiseLoop, has_denoise_loop, watch_denoise_loop
from pytest_diffopt.probes.denoiser_calls import watch_denoisers
from pytest_diffopt.probes.image_arrays import Pixels, images_of, values_of
from pytest_diffopt.probes.images import compare_images
from pytest_diffopt.probes.latents import compare_latents, drift, latents_of, watch_latents
from pytest_diffopt.probes.videos import compare_videos
from pytest_diffopt.records import ImageRecord, LatentDifference, Subject

_RANK_OF_LAYERS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageResult:
    """Result of one call.

    Attributes:
        images: float in [0, 1], shape (number, height, width, channels): images, or the frames of all videos one after
            another; None when the call returned latents, or audio alone.
        frames_per_video: the number of frames of each video; 0 when the call returned images.
        audio: the waveforms; None when the call returned none.
        latents: latents returned instead of images or frames; None when the call returned those.
        audio_latents: latents returned instead of audio.
        steps: latents after each denoise step; empty without a scheduler.
        denoisers: the denoiser that ran in each step; empty without a denoise loop.
    """

    images: Pixels | None
    frames_per_video: int = 0
    audio: Waveforms | None = None
    latents: torch.Tensor | None = None
    audio_latents: torch.Tensor | None = None
    steps: tuple[torch.Tensor, ...] = ()
    denoisers: tuple[str, ...] = ()

    @property
    def videos(self) -> Pixels:
        """The frames of videos, shape (videos, frames, height, width, channels)."""
        assert self.images is not None and self.frames_per_video, "unreachable because only videos are asked for"  # noqa: S101, PT018
        return self.images.reshape(-1, self.frames_per_video, *self.images.shape[1:])

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of what the call returned, for messages and comparisons."""
        visible = "frames" if self.frames_per_video else "images"
        held = {
            visible: self.images,
            "latents": self.latents,
            "audio": self.audio,
            "latents of audio": self.audio_latents,
        }
        return tuple(kind for kind, part in held.items() if part is not None)


def generate(target: Any, call: Callable[[], Any], inputs: Mapping[str, Any] | None = None) -> ImageResult:
    """Make a call, and return its images, videos, audio or latents.

    Args:
        target: the called pipeline.
        call: makes the call.
        inputs: keywords of the call; `output_type` decides whether it returns latents.

    Raises:
        ProbeError: the call returned none of them.
    """
    __tracebackhide__ = True
    with (
        watch_latents(target) as steps,
        _loop_of(target) as loop,
        watch_denoisers(target, lambda: loop.step if loop else None) as denoisers,
    ):
        output = call()
    rate_hz = sampling_rate_hz(target, output)
    result = result_of(output, inputs, steps=tuple(step.cpu() for step in steps), rate_hz=rate_hz)
    return replace(result, denoisers=denoisers.names_by_step(loop.num_steps) if loop else ())


def _loop_of(target: Any) -> AbstractContextManager[DenoiseLoop | None]:
    return watch_denoise_loop(target) if has_denoise_loop(target) else nullcontext()


def result_of(
    output: Any,
    inputs: Mapping[str, Any] | None = None,
    *,
    steps: tuple[torch.Tensor, ...] = (),
    rate_hz: int = 0,
) -> ImageResult:
    """Convert the output of a call that was made elsewhere.

    Args:
        output: a pipeline's output, in any form that `outputs_of` accepts, or latents.
        inputs: keywords of the call, if known.
        steps: latents after each denoise step, if known.
        rate_hz: samples per second of the audio; 0 when unknown.

    Raises:
        ProbeError: the output contains neither images nor videos, audio or latents.
    """
    outputs = outputs_of(output)
    visible = outputs.images if outputs.frames is None else outputs.frames
    latents = None if visible is None else latents_of(visible, inputs)
    is_latent = inputs is not None and inputs.get("output_type") == "latent"
    audio_latents = outputs.audio if is_latent and isinstance(outputs.audio, torch.Tensor) else None
    audio = None if outputs.audio is None or audio_latents is not None else waveforms_of(outputs.audio, rate_hz=rate_hz)
    images, frames_per_video = (None, 0) if visible is None or latents is not None else _pixels_of(outputs)
    # copied: the next call may write to the same memory
    return ImageResult(
        images=None if images is None else images.copy(),
        frames_per_video=frames_per_video,
        audio=None if audio is None else replace(audio, samples=audio.samples.copy()),
        latents=None if latents is None else latents.clone(),
        audio_latents=None if audio_latents is None else audio_latents.detach().cpu().clone(),
        steps=steps,
    )


def compare_results(
    result: ImageResult, reference: ImageResult, subject: Subject, *, with_lpips: bool = False
) -> ImageRecord:
    """Compare the results of two calls: their images, videos, audio or latents, and the latents of each step.

    Args:
        result: result of the optimized pipeline.
        reference: result of the reference pipeline.
        subject: the optimized pipeline.
        with_lpips: also measure LPIPS of the images.

    Raises:
        ProbeError: the results are of different kinds, as of images and latents, their number or size differs, or LPIPS
            cannot be measured.
    """
    _require_same_kinds(result, reference)
    if with_lpips and result.images is None:
        given = " and ".join(result.kinds)
        msg = f"LPIPS needs images, got: {given}; remove max_lpips, or let the pipeline return images"
        raise ProbeError(msg)
    record = _compared_pixels(result, reference, subject, with_lpips=with_lpips)
    audio = compare_audio(result.audio, reference.audio) if result.audio and reference.audio else ()
    return replace(
        record,
        latents=_compared_latents(result, reference),
        drift=drift(result.steps, reference.steps),
        audio=audio,
        denoisers=result.denoisers,
        reference_denoisers=reference.denoisers,
    )


def _pixels_of(outputs: CallOutputs) -> tuple[Pixels, int]:
    """Return the images, or the frames of all videos, and the number of frames of each video."""
    if outputs.frames is not None:
        videos = videos_of(outputs.frames)
        return videos.reshape(-1, *videos.shape[2:]), videos.shape[1]
    values = values_of(outputs.images)
    # the layers of several images
    return images_of(values.reshape(-1, *values.shape[2:]) if values.ndim == _RANK_OF_LAYERS else values), 0


def _require_same_kinds(result: ImageResult, reference: ImageResult) -> None:
    if result.kinds != reference.kinds:
        ours, theirs = (" and ".join(one.kinds) for one in (result, reference))
        msg = f"both results must be images, or both latents, got: {ours} and {theirs}"
        if {"frames", "audio", "latents of audio"} & {*result.kinds, *reference.kinds}:
            msg = f"both results must be of the same kinds, got: {ours}; and: {theirs}"
        raise ProbeError(msg)


def _compared_pixels(result: ImageResult, reference: ImageResult, subject: Subject, *, with_lpips: bool) -> ImageRecord:
    if result.images is None or reference.images is None:
        return ImageRecord(subject=subject, differences=())
    if result.frames_per_video:
        return compare_videos(result.videos, reference.videos, subject, with_lpips=with_lpips)
    return compare_images(result.images, reference.images, subject, with_lpips=with_lpips)


def _compared_latents(result: ImageResult, reference: ImageResult) -> tuple[LatentDifference, ...]:
    pairs = ((result.latents, reference.latents), (result.audio_latents, reference.audio_latents))
    return tuple(
        difference
        for ours, theirs in pairs
        if ours is not None and theirs is not None
        for difference in compare_latents(ours, theirs)
    )
