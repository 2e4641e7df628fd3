"""What the calls of a recipe come to, each beside its reference, for thresholds to be learned from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.image_results import ImageResult, compare_results, draw
from pytest_diffopt.records import ImageRecord, Subject

_LARGEST_BYTE = 255
_IN_PLACE_OF_IMAGES = "latents"
_MORE_SEEDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedSample:
    """One call, drawn by both pipelines.

    Attributes:
        call: how it differs from the test's own call.
        reference: what the plain pipeline drew, as it would be stored.
        record: how far the other one was.
    """

    call: str
    reference: ImageResult
    record: ImageRecord


def sample_images(
    target: Any, reference: Any, calls: "Mapping[str, CallOf]", subject: Subject
) -> Iterator[ComparedSample]:
    """Draw each call with both pipelines.

    Args:
        target: the optimized pipeline.
        reference: the plain one; the same where there is none.
        calls: by what sets each apart, what makes the call of either pipeline.
        subject: the optimized pipeline.
    """
    for label, make in calls.items():
        call, their_call = make(target), make(reference)
        theirs = as_stored(draw(reference, their_call, make.inputs))
        record = compare_results(draw(target, call, make.inputs), theirs, subject)
        yield ComparedSample(call=label, reference=theirs, record=record)


@dataclass(frozen=True, kw_only=True)
class CallOf:
    """One call, of whichever pipeline."""

    args: tuple[Any, ...] = ()
    inputs: Mapping[str, Any]

    def __call__(self, target: Any) -> Callable[[], Any]:
        """Return the call of a pipeline, generators as they were when it was asked for."""
        return repeatable_call(target, self.args, self.inputs)


def calls_to_learn_from(
    args: tuple[Any, ...], inputs: Mapping[str, Any], variations: Sequence[Mapping[str, Any]]
) -> dict[str, CallOf]:
    """Return the test's own call, those that its pipeline is known to be called with, and the own one of other seeds.

    Args:
        args: positional arguments of the test's own call.
        inputs: its keywords.
        variations: other calls; those that change the pipeline itself are left out.
    """
    calls = {"the test's own call": CallOf(args=args, inputs=inputs)}
    for number, variation in enumerate(variations):
        if getattr(variation, "change", None) is None:
            label = getattr(variation, "label", "") or f"variation {number}"
            calls[label] = CallOf(args=args, inputs=dict(variation))
    generator = inputs.get("generator")
    if isinstance(generator, torch.Generator):
        for seed in range(1, _MORE_SEEDS + 1):
            other = torch.Generator(generator.device).manual_seed(generator.initial_seed() + seed)
            calls[f"seed {generator.initial_seed() + seed}"] = CallOf(args=args, inputs={**inputs, "generator": other})
    else:
        calls |= {f"the own call, {time} time": CallOf(args=args, inputs=inputs) for time in ("second", "third")}
    return calls


def as_stored(result: ImageResult) -> ImageResult:
    """Return a drawing as it is after being stored: images of eight bits, latents of single precision."""
    return result_from_stored(levels_of(result), stored_latents(result))


def levels_of(result: ImageResult) -> list[npt.NDArray[np.uint8]]:
    """Return the images of a drawing in eight bits; what is no number is black, which is a defect elsewhere."""
    if result.images is None:
        return []
    finite = np.clip(np.nan_to_num(result.images, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    return list((finite * _LARGEST_BYTE).round().astype(np.uint8))


def stored_latents(result: ImageResult) -> dict[str, npt.NDArray[np.float32]]:
    """Return the latents of a drawing by name, in single precision."""
    named = {f"step_{number:04}": step for number, step in enumerate(result.steps)}
    if result.latents is not None:
        named[_IN_PLACE_OF_IMAGES] = result.latents
    return {name: latents.float().contiguous().numpy() for name, latents in named.items()}


def result_from_stored(
    images: Sequence[npt.NDArray[np.uint8]], latents: Mapping[str, npt.NDArray[np.float32]]
) -> ImageResult:
    """Return the drawing of which this is stored."""
    tensors = {name: torch.tensor(latents[name]) for name in sorted(latents)}
    whole = tensors.pop(_IN_PLACE_OF_IMAGES, None)
    pixels = np.stack(images) / _LARGEST_BYTE if images else None
    return ImageResult(images=pixels, latents=whole, steps=tuple(tensors.values()))
