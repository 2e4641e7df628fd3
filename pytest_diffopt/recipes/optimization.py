"""What every optimization is able to do, and how it writes itself down."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, ClassVar

import torch

from pytest_diffopt.records import OptimizationState


class Stage(IntEnum):
    """The order in which kinds of optimizations must be applied; each stage sees what the earlier ones left."""

    MODEL = 1
    SCHEDULER = 2
    PRECISION = 3
    ATTENTION = 4
    LAYOUT = 5
    CONVOLUTIONS = 6
    PROJECTIONS = 7
    QUANTIZATION = 8
    OWN = 9
    COMPILER = 10
    COMPILATION = 11


@dataclass(frozen=True, kw_only=True)
class Optimization(ABC):
    """One thing done to a pipeline.

    A subclass is a frozen dataclass whose fields are its keywords in a recipe. It sets `name`, where the order matters
    `stage`, where the image is meant to be another one `draws_another_image`, and defines `apply` and `verify`;
    where it needs torch's global state, it returns that from `call_context`.
    """

    name: ClassVar[str]
    stage: ClassVar[Stage] = Stage.OWN
    #: Another algorithm or model draws another image however exact it is: the reference carries it too.
    draws_another_image: ClassVar[bool] = False
    #: Names of optimizations that contradict this one, each with the reason.
    conflicts: ClassVar[dict[str, str]] = {}
    #: Names of optimizations without which this one makes no sense, each with what is known of it alone.
    partners: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def apply(self, pipeline: Any) -> None:
        """Change the pipeline in place.

        Raises:
            RecipeError: this pipeline has nothing that the optimization could change.
        """

    @abstractmethod
    def verify(self, pipeline: Any) -> OptimizationState:
        """Look at the living pipeline, never at what was asked, and say what is there."""

    def call_context(self) -> AbstractContextManager[object]:
        """Return the state of torch that must hold while the pipeline runs; restored after every call."""
        return nullcontext()

    @property
    def needs_call_context(self) -> bool:
        """Tell whether `call_context` does anything."""
        return type(self).call_context is not Optimization.call_context

    def why_unavailable(self, device: torch.device) -> str:  # noqa: ARG002 - most run anywhere
        """Say why this machine cannot run it, in words that fit behind its name; empty when it can."""
        return ""

    def __str__(self) -> str:
        """Write it as a recipe does: its name, and the keywords that are not at their defaults."""
        changed = [f"{field.name}={_literal(getattr(self, field.name))}" for field in self._changed_fields()]
        return f"{self.name}({', '.join(changed)})" if changed else self.name

    def _changed_fields(self) -> list[Any]:
        return [field for field in fields(self) if getattr(self, field.name) != field.default]

    def state(self, found: str, missing: list[str] | None = None) -> OptimizationState:
        """Compose what `verify` returns."""
        return OptimizationState(name=str(self), found=found, missing=tuple(missing or ()))


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    # Every text of JSON is one of Python too, and its quotes are the ones that recipes are written with.
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
