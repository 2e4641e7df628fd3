"""Image differences over several calls, from which thresholds are learned, and the stored form of a result."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.image_results import ImageResult, compare_results, generate
from pytest_diffopt.probes.reference_precision import FIRST_SCALES, ReferencePrecision, rounded_calls
from pytest_diffopt.records import ImageRecord, Subject

_LARGEST_BYTE = 255
_FINAL_LATENTS = "latents"
_AUDIO_LATENTS = "audio_latents"
_NUM_OTHER_SEEDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedSample:
    """One call of both pipelines.

    Attributes:
        call: label of the call.
        reference: result of the reference pipeline, rounded as when stored.
        record: difference of the optimized pipeline's result from it.
    """

    call: str
    reference: ImageResult
    record: ImageRecord


def sample_images(
    target: Any, reference: Any, calls: "Mapping[str, PipelineCall]", subject: Subject
) -> Iterator[ComparedSample]:
    """Make each call with both pipelines, and compare the results.

    Args:
        target: the optimized pipeline.
        reference: the reference pipeline; the optimized one when there is none.
        calls: each call by its label.
        subject: the optimized pipeline.
    """
    for label, call in calls.items():
        our_call, their_call = call.bound_to(target), call.bound_to(reference)
        theirs = as_stored(generate(reference, their_call, call.inputs))
        record = compare_results(generate(target, our_call, call.inputs), theirs, subject)
        yield ComparedSample(call=label, reference=theirs, record=record)


def sample_rounding(
    reference: Any, precision: ReferencePrecision, call: Callable[[], ImageResult], subject: Subject
) -> Iterator[ComparedSample]:
    """Make a call with the reference, and again in another precision, rounded in several ways.

    Args:
        reference: the reference pipeline.
        precision: the precision of the optimized pipeline.
        call: makes the call with the reference, the same each time.
        subject: the optimized pipeline.
    """
    theirs = as_stored(call())
    for number, result in enumerate(rounded_calls(reference, precision, call, scales=FIRST_SCALES), start=1):
        record = compare_results(result, theirs, subject)
        yield ComparedSample(call=f"rounded as {precision.name} ({number})", reference=theirs, record=record)


@dataclass(frozen=True, kw_only=True)
class PipelineCall:
    """Arguments of a call, for any pipeline."""

    args: tuple[Any, ...] = ()
    inputs: Mapping[str, Any]

    def bound_to(self, target: Any) -> Callable[[], Any]:
        """Return the repeatable call of a pipeline; generators start from their present state."""
        return repeatable_call(target, self.args, self.inputs)


def calls_to_learn_from(
    args: tuple[Any, ...], inputs: Mapping[str, Any], variations: Sequence[Mapping[str, Any]]
) -> dict[str, PipelineCall]:
    """Return the test's own call, its variations, and the own call repeated with other seeds.

    Args:
        args: positional arguments of the test's own call.
        inputs: its keyword arguments.
        variations: keyword arguments of other calls; variations that change the pipeline itself are left out.
    """
    own = {"the test's own call": inputs}
    varied = {
        getattr(variation, "label", "") or f"variation {number}": dict(variation)
        for number, variation in enumerate(variations)
        if getattr(variation, "change", None) is None
    }
    calls = own | varied | _repeats(inputs)
    return {label: PipelineCall(args=args, inputs=keywords) for label, keywords in calls.items()}


def _repeats(inputs: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the inputs with other seeds; without a generator, return the unchanged inputs twice."""
    generator = inputs.get("generator")
    if not isinstance(generator, torch.Generator):
        return {f"the test's own call, {time} time": inputs for time in ("second", "third")}
    first = generator.initial_seed()
    return {
        f"seed {seed}": {**inputs, "generator": torch.Generator(generator.device).manual_seed(seed)}
        for seed in range(first + 1, first + _NUM_OTHER_SEEDS + 1)
    }


def as_stored(result: ImageResult) -> ImageResult:
    """Return a result as after storing and reading it: 8-bit images, single-precision latents and audio."""
    stored = result_from_stored(uint8_images(result), stored_latents(result), frames_per_video=result.frames_per_video)
    if result.audio is None:
        return stored
    samples = result.audio.samples.astype(np.float32).astype(np.float64)
    return replace(stored, audio=replace(result.audio, samples=samples))


def uint8_images(result: ImageResult) -> list[npt.NDArray[np.uint8]]:
    """Return the images of a result as uint8; NaN becomes black, since it is reported as a defect elsewhere."""
    if result.images is None:
        return []
    finite = np.clip(np.nan_to_num(result.images, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    return list((finite * _LARGEST_BYTE).round().astype(np.uint8))


def stored_latents(result: ImageResult) -> dict[str, npt.NDArray[np.float32]]:
    """Return the latents of a result by name, in single precision."""
    named = {f"step_{number:04}": step for number, step in enumerate(result.steps)}
    finals = {_FINAL_LATENTS: result.latents, _AUDIO_LATENTS: result.audio_latents}
    named |= {name: latents for name, latents in finals.items() if latents is not None}
    return {name: latents.float().contiguous().numpy() for name, latents in named.items()}


def result_from_stored(
    images: Sequence[npt.NDArray[np.uint8]],
    latents: Mapping[str, npt.NDArray[np.float32]],
    *,
    frames_per_video: int = 0,
) -> ImageResult:
    """Return the result that was stored as these images or frames, and latents."""
    tensors = {name: torch.tensor(latents[name]) for name in sorted(latents)}
    final, audio = (tensors.pop(name, None) for name in (_FINAL_LATENTS, _AUDIO_LATENTS))
    return ImageResult(
        images=np.stack(images) / _LARGEST_BYTE if images else None,
        frames_per_video=frames_per_video,
        latents=final,
        audio_latents=audio,
        steps=tuple(tensors.values()),
    )
