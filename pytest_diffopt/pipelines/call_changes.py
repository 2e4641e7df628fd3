"""Variations of a call beyond its keywords: another scheduler, other shapes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import diffusers

from pytest_diffopt.arguments import SOME_TEXT, instance_of, require
from pytest_diffopt.errors import PipelineError, did_you_mean
from pytest_diffopt.pipelines.inputs import PipelineChange, PipelineInputs
from pytest_diffopt.pipelines.variations import GUIDANCE

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
    """Return the calls that give a model inputs of another shape.

    They have no guidance, a larger batch, more frames or pixels, or one more image to edit.

    Args:
        plain: the plain call; keywords that it does not have are not varied.
    """
    require(instance_of(PipelineInputs), plain, "the call of shape_variations")
    shapes: dict[str, Mapping[str, Any]] = {}
    guided = [name for name in GUIDANCE if isinstance(plain.get(name), float) and plain[name] > 1]
    if guided:
        shapes["without guidance"] = dict.fromkeys(guided, 1.0)
    frames = plain.get("num_frames")
    if isinstance(frames, int):
        shapes[f"num_frames={2 * frames - 1}"] = {"num_frames": 2 * frames - 1}  # one more than a multiple, as before
        shapes["two videos"] = {"num_videos_per_prompt": 2}
    elif isinstance(plain.get("prompt"), str):
        shapes["two images"] = {"num_images_per_prompt": 2}
    if isinstance(plain.get("height"), int):
        height = plain["height"] * 3 // 2
        shapes[f"height={height}"] = {"height": height}
    images = plain.get("image")
    if isinstance(images, list) and images:  # a pipeline that edits takes any number of images
        shapes[f"{len(images) + 1} edit images"] = {"image": [*images, images[0]]}
    return (plain, *(plain.reshaped(label, **changes) for label, changes in shapes.items()))


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
