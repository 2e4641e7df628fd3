"""Builds or loads the pipeline of a request, and finds the inputs of its call."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers

from pytest_diffopt.arguments import shown
from pytest_diffopt.errors import PipelineError, did_you_mean
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.loading import build_pipeline, build_without_weights
from pytest_diffopt.pipelines.registry import find_pipeline, known_pipelines
from pytest_diffopt.profile.request import ProfiledDevice, ProfileRequest
from pytest_diffopt.recipes.grammar import parse_recipe

_LONGEST_NAME = 200
_DEFAULT_RECIPE = "bf16"  # of a registered pipeline
_PROMPT = "a red circle beside a blue square, on a white table"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A pipeline that is ready to be called.

    Attributes:
        pipeline: the pipeline, its recipe applied.
        inputs: the keyword arguments of the call.
        name: the registered name or the class name.
        origin: where it comes from, as shown in the report.
        recipe: the optimizations that were applied; empty if there are none.
    """

    pipeline: Any
    inputs: Mapping[str, Any]
    name: str
    origin: str
    recipe: str


def find_target(request: ProfileRequest) -> Target:
    """Build or load the pipeline of a request, find its inputs and apply the recipe.

    Raises:
        PipelineError: there is no such pipeline, or it does not take the given arguments.
        RecipeError: the recipe cannot be parsed or does not fit the pipeline.
    """
    recipe = parse_recipe(request.recipe) if request.recipe is not None else None
    if not request.target.strip() or not request.target.isprintable():
        msg = f"the target must be a registered pipeline, a folder or module:function, got: {shown(request.target)}"
        raise PipelineError(msg)
    if _is_folder(request.target):
        found = _from_folder(request)
    elif ":" in request.target:
        found = _from_function(request)
    elif "/" in request.target or "\\" in request.target:
        msg = f"no such folder: {request.target}"
        raise PipelineError(msg)
    else:
        found = _registered(request)
        recipe = recipe or parse_recipe(_DEFAULT_RECIPE)
    if request.device is ProfiledDevice.NULL:
        found.pipeline.to("cuda")
    inputs = _changed(found.inputs, found.pipeline, request)
    if recipe is not None:
        recipe.apply(found.pipeline)
    return Target(
        pipeline=found.pipeline, inputs=inputs, name=found.name, origin=found.origin, recipe=str(recipe or "")
    )


def _is_folder(target: str) -> bool:
    try:
        return Path(target).is_dir()
    except OSError:  # such as a name that is too long
        return False


def _registered(request: ProfileRequest) -> Target:
    module_name, dot, name = request.target.rpartition(".")
    is_dotted = bool(dot) and name != "py" and all(map(str.isidentifier, (*module_name.split("."), name)))
    if is_dotted and request.target not in known_pipelines():
        msg = f"{request.target} has no colon: write {module_name}:{name} to call a function"
        raise PipelineError(msg)
    if len(request.target) > _LONGEST_NAME:
        msg = f"unknown pipeline: {shown(request.target)}"
        raise PipelineError(msg)
    family = find_pipeline(request.target)
    if request.device is ProfiledDevice.NULL:
        built = build_pipeline(family, request.scale, device="cuda")
    else:
        built = build_without_weights(family, request.scale)
    return Target(
        pipeline=built.pipeline,
        inputs=family.inputs(request.scale),
        name=family.name,
        origin=built.origin,
        recipe="",
    )


def _from_folder(request: ProfileRequest) -> Target:
    folder = request.target
    if not (Path(folder) / "model_index.json").is_file():
        msg = f"{folder} is not a pipeline folder: it has no model_index.json, which save_pretrained() writes"
        raise PipelineError(msg)
    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        msg = f"{folder} could not be loaded: {type(error).__name__}: {error}"
        raise PipelineError(msg) from error
    return Target(
        pipeline=pipeline,
        inputs=_plain_inputs(pipeline),
        name=type(pipeline).__name__,
        origin=f"from {folder}",
        recipe="",
    )


def _from_function(request: ProfileRequest) -> Target:
    function = _function(request.target)
    try:
        returned = function()
    except (Exception, SystemExit) as error:
        msg = f"{request.target} raised {type(error).__name__}: {error}"
        raise PipelineError(msg) from error
    pipeline, inputs = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, None)  # noqa: PLR2004
    if not callable(pipeline) or not modules_of(pipeline) or not isinstance(inputs, Mapping | None):
        msg = f"{request.target} must return a pipeline, or a pipeline and its inputs, got: {_described(returned)}"
        raise PipelineError(msg)
    return Target(
        pipeline=pipeline,
        inputs=_plain_inputs(pipeline) if inputs is None else inputs,
        name=type(pipeline).__name__,
        origin=f"from {request.target}",
        recipe="",
    )


def _function(target: str) -> Callable[[], Any]:
    module_name, _, name = target.partition(":")
    if not module_name or not name.isidentifier():
        msg = f"{target} must be module:function, such as my_module:build"
        raise PipelineError(msg)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        msg = f"{target}: the module {module_name!r} cannot be imported: {type(error).__name__}: {error}"
        raise PipelineError(msg) from error
    function = getattr(module, name, None)
    if callable(function):
        return function  # type: ignore[no-any-return] # a user's function; its result is checked
    if function is not None:
        msg = f"{target} must be a function that returns a pipeline, got: {shown(function)}"
        raise PipelineError(msg)
    msg = f"{target}: the module {module_name!r} has no function {name!r}{did_you_mean(name, vars(module))}"
    raise PipelineError(msg)


def _described(thing: object) -> str:
    if isinstance(thing, tuple):
        return f"({', '.join(type(one).__name__ for one in thing)})"
    return type(thing).__name__


def _plain_inputs(pipeline: Any) -> Mapping[str, Any]:
    """Return default inputs for a pipeline, limited to the keywords in its signature."""
    plain = {"prompt": _PROMPT, "output_type": "np"}
    takes = _keywords(pipeline)
    known = {name: value for name, value in plain.items() if name in takes}
    return PipelineInputs(known) if "generator" in takes else known


def _keywords(pipeline: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(pipeline.__call__).parameters


def _changed(inputs: Mapping[str, Any], pipeline: Any, request: ProfileRequest) -> Mapping[str, Any]:
    takes = _keywords(pipeline)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values())
    for option, (keyword, value) in request.changes().items():
        if keyword not in takes and not takes_any:
            msg = f"{option} needs a pipeline with the argument {keyword}, which {type(pipeline).__name__} lacks"
            raise PipelineError(msg)
        if keyword in ("height", "width"):
            _require_multiple(option, value, pipeline)
    changes = dict(request.changes().values())
    return inputs.varied("", **changes) if isinstance(inputs, PipelineInputs) else {**inputs, **changes}


def _require_multiple(option: str, size: int, pipeline: Any) -> None:
    """Raise if the VAE cannot make an image of this size, which is a multiple of the latents' size."""
    factor = getattr(pipeline, "vae_scale_factor", 1)
    if size % factor:
        below = size - size % factor
        nearest = f"{below} and {below + factor}" if below else str(factor)
        msg = f"{option} must be a multiple of {factor}, the VAE's factor, got: {size} (nearest: {nearest})"
        raise PipelineError(msg)
