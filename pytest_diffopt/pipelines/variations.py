"""Calls that differ like calls in production and must not cause a recompile."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from pytest_diffopt.pipelines.inputs import PipelineInputs

LONG_PROMPT = "a small blue square on a green background, left, beside a large yellow triangle on a white table"


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
    scale = plain.get("guidance_scale")
    if not isinstance(scale, float) or scale <= 1:  # without guidance the UNet's batch is half as large
        return ()
    other = scale + 2.5
    return ((f"guidance_scale={other:g}", {"guidance_scale": other}),)


def _steps(plain: PipelineInputs) -> Sequence[tuple[str, dict[str, Any]]]:
    steps = plain.get("num_inference_steps")
    if steps is None:
        return ()
    more = steps + 1 if isinstance(steps, int) else tuple(one + 1 for one in steps)
    return ((f"num_inference_steps={more}", {"num_inference_steps": more}),)
