"""Variations of a call beyond its keywords: another scheduler, another LoRA scale, other shapes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import diffusers

from pytest_diffopt.arguments import NUMBER, SOME_TEXT, instance_of, require
from pytest_diffopt.errors import PipelineError, did_you_mean
from pytest_diffopt.pipelines.adapter_weights import lora_weights_kept
from pytest_diffopt.pipelines.inputs import PipelineChange, PipelineInputs

_LORA_SCALES = (1.0, 0.5)
# Common choices. The first supports a learned variance, such as DeepFloyd IF's.
_USUAL_SCHEDULERS = (
    "DPMSolverMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "DDIMScheduler",
)


def with_changes(variations: Sequence[PipelineInputs]) -> Sequence[PipelineInputs]:
    """Return these calls and the plain call with another scheduler, which keeps the shapes of the models' inputs.

    Args:
        variations: calls that differ in their keywords; the first is the plain call.
    """
    return (*variations, variations[0].within("another scheduler", another_scheduler()))


def shape_variations(plain: PipelineInputs) -> Sequence[PipelineInputs]:
    """Return the calls that give a model inputs of another shape: no guidance, a larger batch, more frames or pixels.

    Args:
        plain: the plain call; keywords that it does not have are not varied.
    """
    require(instance_of(PipelineInputs), plain, "the call of shape_variations")
    shapes: dict[str, Mapping[str, Any]] = {}
    guidance = plain.get("guidance_scale")
    if isinstance(guidance, float) and guidance > 1:
        shapes["without guidance"] = {"guidance_scale": 1.0}
    frames = plain.get("num_frames")
    if isinstance(frames, int):
        shapes[f"num_frames={2 * frames - 1}"] = {"num_frames": 2 * frames - 1}  # one more than a multiple, as before
        shapes["two videos"] = {"num_videos_per_prompt": 2}
    elif isinstance(plain.get("prompt"), str):
        shapes["two images"] = {"num_images_per_prompt": 2}
    if isinstance(plain.get("height"), int):
        height = plain["height"] * 3 // 2
        shapes[f"height={height}"] = {"height": height}
    return (plain, *(plain.reshaped(label, **changes) for label, changes in shapes.items()))


def lora_variations(plain: PipelineInputs, adapter: str = "default_0") -> Sequence[PipelineInputs]:
    """Return calls that differ in the scale of a loaded LoRA.

    Args:
        plain: the plain call.
        adapter: the LoRA's name.
    """
    require(instance_of(PipelineInputs), plain, "the call of lora_variations")
    return tuple(plain.within(f"LoRA scale {scale}", lora_scaled(scale, adapter=adapter)) for scale in _LORA_SCALES)


def another_scheduler(class_name: str | None = None) -> PipelineChange:
    """Return a change that gives the pipeline another scheduler.

    Args:
        class_name: the scheduler's class. By default a common compatible one whose timesteps have the same dtype (a
            model recompiles for another dtype), or a new instance of the same class if there is none.

    Raises:
        ArgumentError: `class_name` is not a text.
    """
    require(SOME_TEXT.or_none(), class_name, "another_scheduler(class_name=...)")

    @contextmanager
    def changed(pipeline: Any) -> Iterator[None]:
        original = pipeline.scheduler
        pipeline.scheduler = _named(original, class_name) if class_name else _like(original)
        try:
            yield
        finally:
            pipeline.scheduler = original

    return changed


def lora_scaled(scale: float, *, adapter: str = "default_0") -> PipelineChange:
    """Return a change that sets the scale of a LoRA.

    Args:
        scale: the LoRA's scale.
        adapter: the LoRA's name.

    Raises:
        ArgumentError: the scale is no finite number, or the name is not a text.
    """
    require(NUMBER, scale, "lora_scaled(scale=...)")
    require(SOME_TEXT, adapter, "lora_scaled(adapter=...)")

    @contextmanager
    def changed(pipeline: Any) -> Iterator[None]:
        _refuse_inactive(pipeline, adapter)
        pipeline.set_adapters(adapter, scale)
        try:
            yield
        finally:
            pipeline.set_adapters(adapter, 1.0)

    return changed


def lora_swapped(weights: str, *, adapter: str = "default_0") -> PipelineChange:
    """Return a change that swaps the weights of a LoRA in place, as `load_lora_weights(hotswap=True)` does.

    Afterwards the LoRA has its own weights again.

    Args:
        weights: the file, folder or hub id of the other LoRA.
        adapter: the name of the loaded LoRA.

    Raises:
        ArgumentError: an argument is not a text.
    """
    require(SOME_TEXT, weights, "lora_swapped(weights=...)")
    require(SOME_TEXT, adapter, "lora_swapped(adapter=...)")

    @contextmanager
    def changed(pipeline: Any) -> Iterator[None]:
        _refuse_inactive(pipeline, adapter, called="lora_swapped")
        with lora_weights_kept(pipeline) as is_unchanged:
            _swap(pipeline, weights, adapter)
            if is_unchanged():
                msg = f"lora_swapped({weights!r}) changed no weight of the LoRA {adapter!r}"
                raise PipelineError(msg)
            yield

    return changed


def _swap(pipeline: Any, weights: str, adapter: str) -> None:
    try:
        pipeline.load_lora_weights(weights, adapter_name=adapter, hotswap=True)
    except Exception as error:
        msg = f"lora_swapped({weights!r}) could not swap the LoRA {adapter!r}: {type(error).__name__}: {error}"
        raise PipelineError(msg) from error


def _refuse_inactive(pipeline: Any, adapter: str, called: str = "lora_scaled") -> None:
    if not hasattr(pipeline, "set_adapters"):
        msg = f"{called} needs a pipeline that can load a LoRA, got: {type(pipeline).__name__}"
        raise PipelineError(msg)
    active = pipeline.get_active_adapters()
    if adapter not in active:
        known = ", ".join(active) or "none"
        msg = f"no LoRA {adapter!r} is active{did_you_mean(adapter, active)}; active: {known}"
        raise PipelineError(msg)


def _named(scheduler: Any, class_name: str) -> Any:
    kind: Any = getattr(diffusers, class_name, None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        names = [one.__name__ for one in scheduler.compatibles]
        msg = f"diffusers has no scheduler {class_name!r}{did_you_mean(class_name, names)}"
        raise PipelineError(msg)
    return getattr(diffusers, class_name).from_config(scheduler.config)


def _like(scheduler: Any) -> Any:
    """Return another scheduler for the same model, or a new instance of the same class if there is none."""
    dtype = _timestep_dtype(scheduler)
    # few schedulers know flow matching, and the others fail in their first step
    if dtype is None or scheduler.config.get("prediction_type") == "flow_prediction":
        return type(scheduler).from_config(scheduler.config)
    kinds = {kind.__name__: kind for kind in scheduler.compatibles if kind is not type(scheduler)}
    for name in _USUAL_SCHEDULERS:
        other = kinds[name].from_config(scheduler.config) if name in kinds else None
        if other is not None and _timestep_dtype(other) == dtype:
            return other
    return type(scheduler).from_config(scheduler.config)


def _timestep_dtype(scheduler: Any) -> Any:
    """Return the dtype of the timesteps; None if `set_timesteps` needs more than the number of steps."""
    trial = type(scheduler).from_config(scheduler.config)
    try:
        trial.set_timesteps(2)
    except (ValueError, TypeError):
        return None
    return trial.timesteps.dtype
