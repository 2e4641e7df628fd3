"""Tiny pipelines that diffusers' own fast tests build, and their inputs."""

import importlib
import inspect
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from pytest_diffopt.simulated_gpu import SimulatedGPU

_TESTS = Path("tests", "pipelines")
_NOT_TINY = ("Slow", "Nightly", "Integration")


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One pipeline of diffusers' tests.

    Attributes:
        name: test file and class.
        tests: an instance of the test class, which creates the components and inputs.
    """

    name: str
    tests: Any

    def build(self) -> Any:
        """Build the pipeline with the random weights of its tests."""
        seed()
        pipeline = self.tests.pipeline_class(**self.tests.get_dummy_components())
        pipeline.set_progress_bar_config(disable=True)
        for component in pipeline.components.values():
            if isinstance(component, torch.nn.Module):
                component.eval()
        return pipeline

    def inputs(self) -> dict[str, Any]:
        """Return the keywords with which its tests call it; the output type is an array instead of an image."""
        seed()
        takes_device = "device" in inspect.signature(self.tests.get_dummy_inputs).parameters
        inputs: dict[str, Any] = self.tests.get_dummy_inputs(**({"device": "cpu"} if takes_device else {}))
        return inputs | ({"output_type": "np"} if inputs.get("output_type") == "pil" else {})


class CannotReadError(Exception):
    """A file of diffusers' tests cannot be imported."""


def groups(checkout: Path) -> list[str]:
    """Return the folders of pipeline tests.

    Raises:
        SystemExit: the folder is not a checkout of diffusers.
    """
    folder = checkout / _TESTS
    if not folder.is_dir():
        message = f"--diffusers-tests must be a checkout of diffusers that contains {_TESTS}, got: {checkout}"
        raise SystemExit(message)
    return sorted({file.parent.name for file in folder.glob("*/test_*.py")})


def files(checkout: Path, group: str) -> list[Path]:
    """Return the test files of a group."""
    return sorted((checkout / _TESTS / group).glob("test_*.py"))


def cases(group: str, file: Path) -> Iterator[Case]:
    """Yield each pipeline of a file once, even if several classes test it.

    Raises:
        CannotReadError: the file cannot be imported.
    """
    module = _imported(f"{'.'.join(_TESTS.parts)}.{group}.{file.stem}")
    seen: set[type] = set()
    for name, found in vars(module).items():
        if not _is_tiny(name, found, module):
            continue
        kind = getattr(found, "pipeline_class", None)
        if inspect.isclass(kind) and kind not in seen and not inspect.isabstract(found):
            seen.add(kind)
            yield Case(name=f"{file.stem}::{name}", tests=found())


def _imported(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except BaseException as error:  # `pytest.skip` at module level is not an Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        message = f"{type(error).__name__}: {error}"
        raise CannotReadError(message) from error


def _is_tiny(name: str, found: Any, module: ModuleType) -> bool:
    is_own = inspect.isclass(found) and found.__module__ == module.__name__
    is_tiny = is_own and not any(word in name for word in _NOT_TINY)
    return is_tiny and hasattr(found, "get_dummy_inputs") and _builds_alone(found)


def _builds_alone(found: Any) -> bool:
    """Return whether a class builds its pipeline without arguments, which the bases of several classes require."""
    build = getattr(found, "get_dummy_components", None)
    given = list(inspect.signature(build).parameters.values())[1:] if build else []
    return build is not None and all(one.default is not one.empty or one.kind is one.VAR_KEYWORD for one in given)


def move_to_simulated(pipeline: Any, gpu: SimulatedGPU) -> None:
    """Move a pipeline to an entered simulated GPU; what is no module gets its tensors back when the block ends."""
    pipeline.to(gpu.device)
    for component in pipeline.components.values():
        if not isinstance(component, torch.nn.Module) and hasattr(component, "__dict__"):
            gpu.keep(component)


def seed() -> None:
    """Seed every random number generator."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - diffusers' tests use the legacy generator
    random.seed(0)
