"""Calls that differ as users' calls differ: prompt, guidance, number of steps, size."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# With fewer steps the first and the last would be all.
_NUM_STEPS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Variation:
    """A call that differs from the first.

    Attributes:
        label: how it differs.
        inputs: all keywords of the call.
        changes_shape: whether it changes the shapes of the denoiser's inputs.
    """

    label: str
    inputs: Mapping[str, Any]
    changes_shape: bool = False


def with_steps(pipeline: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a call with enough steps to distinguish the first from later ones."""
    takes_steps = "num_inference_steps" in _parameters(pipeline) and "timesteps" not in inputs
    given = inputs.get("num_inference_steps", 0)
    return {**inputs, "num_inference_steps": max(given, _NUM_STEPS)} if takes_steps else dict(inputs)


def another_prompt(inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a call with a longer prompt of the same words, which a tiny text encoder knows; None without a prompt."""
    prompt = inputs.get("prompt")
    if not isinstance(prompt, str) or not prompt.split():
        return None
    return {**inputs, "prompt": f"{prompt}, {' '.join(reversed(prompt.split()))}"}


def variations(pipeline: Any, inputs: Mapping[str, Any]) -> Iterator[Variation]:
    """Yield the calls that the pipeline's arguments allow.

    Args:
        pipeline: the pipeline.
        inputs: keywords of the first call.
    """
    parameters = _parameters(pipeline)
    longer = another_prompt(inputs)
    if longer:
        yield Variation(label="another prompt", inputs=longer)
    if "num_inference_steps" in inputs:
        steps = inputs["num_inference_steps"] + 1
        yield Variation(label="one more step", inputs={**inputs, "num_inference_steps": steps})
    guidance = inputs.get("guidance_scale", getattr(parameters.get("guidance_scale"), "default", None))
    if isinstance(guidance, int | float):
        yield Variation(label="another guidance scale", inputs={**inputs, "guidance_scale": guidance + 1.5})
    sizes = inputs.get("height"), inputs.get("width")
    if all(isinstance(size, int) for size in sizes) and not any("image" in name for name in inputs):
        yield Variation(label="twice as high", inputs={**inputs, "height": sizes[0] * 2}, changes_shape=True)  # type: ignore[operator]


def _parameters(pipeline: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(type(pipeline).__call__).parameters
