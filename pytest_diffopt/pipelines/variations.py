"""Calls that differ like calls in production and must not cause a recompile."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from pytest_diffopt.pipelines.inputs import PipelineInputs

LONG_PROMPT = "a small blue square on a green background, left, beside a large yellow triangle on a white table"

#: The keywords of a guidance scale; with a scale of 1 there is no guidance.
GUIDANCE = ("guidance_scale", "true_cfg_scale")


def usual_variations(plain: PipelineInputs) -> Sequence[PipelineInputs]:
    """Return calls that vary the plain call's prompt, guidance, steps and seed, one at a time.

    Args:
        plain: the plain call; keywords that it does not have are not varied.
    """
    differences = chain(_prompts(plain), _guidance(plain), _steps(plain))
    return (
        plain.varied("the same call again"),
        *(plain.varied(label, **changes) for label, changes in differences),
        *(() if plain.seed is None else (plain.varied("another seed", seed=plain.seed + 1),)),
    )


def _prompts(plain: PipelineInputs) -> Sequence[tuple[str, dict[str, Any]]]:
    if not isinstance(plain.get("prompt"), str):
        return ()
    return (("a longer prompt", {"prompt": LONG_PROMPT}), ("a one-word prompt", {"prompt": "circle"}))


def _guidance(plain: PipelineInputs) -> Sequence[tuple[str, dict[str, Any]]]:
    scales = ((name, plain.get(name)) for name in GUIDANCE)
    # without guidance the UNet's batch is half as large
    others = [(name, scale + 2.5) for name, scale in scales if isinstance(scale, float) and scale > 1]
    return [(f"{name}={other:g}", {name: other}) for name, other in others]


def _steps(plain: PipelineInputs) -> Sequence[tuple[str, dict[str, Any]]]:
    steps = plain.get("num_inference_steps")
    if steps is None:
        return ()
    more = steps + 1 if isinstance(steps, int) else tuple(one + 1 for one in steps)
    return ((f"num_inference_steps={more}", {"num_inference_steps": more}),)
