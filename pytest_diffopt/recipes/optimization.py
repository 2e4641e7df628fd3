"""The base class of optimizations."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, ClassVar

import torch

from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState


class Stage(IntEnum):
    """The order in which kinds of optimizations must be applied; each stage works on the result of the earlier ones."""

    MODEL = 1
    ADAPTERS = 2
    SCHEDULER = 3
    PRECISION = 4
    ATTENTION = 5
    LAYOUT = 6
    CONVOLUTIONS = 7
    PROJECTIONS = 8
    QUANTIZATION = 9
    VAE_PIECES = 10
    STORAGE = 11
    STEP_CACHE = 12
    PARALLELISM = 13
    OWN = 14
    OFFLOAD = 15
    COMPILER = 16
    COMPILATION = 17


@dataclass(frozen=True, kw_only=True)
class Optimization(ABC):
    """One change of a pipeline.

    A subclass is a frozen dataclass whose fields are its keywords in a recipe. It sets `name` and defines `apply` and
    `verify`. It sets `stage` if the order matters, and `changes_image_by_design` if the image is meant to change. If it
    depends on torch's global state, it returns a context manager from `call_context`. If it is applied without
    `Recipe.apply` and stores parameters in another dtype than the recipe's precision, it returns them from
    `takes_over`.
    """

    name: ClassVar[str]
    stage: ClassVar[Stage] = Stage.OWN
    #: True for another algorithm or model, whose image differs from the plain one. The reference then has it too.
    changes_image_by_design: ClassVar[bool] = False
    #: True if values are stored or computed in another precision. The error of the image is compared with what these
    #: optimizations alone give. An optimization that changed the dtype of parameters counts without it.
    affects_precision: ClassVar[bool] = False
    #: True if the effect is in the memory of a GPU or on the bus to it, so that a call on the CPU cannot show it. The
    #: call that shows effects is then made on the simulated GPU.
    acts_on_device_memory: ClassVar[bool] = False
    #: Names of optimizations that contradict this one, with the reason.
    conflicts: ClassVar[dict[str, str]] = {}
    #: Names of optimizations without which this one has no benefit, with the reason or published figures.
    partners: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def apply(self, pipeline: Any) -> None:
        """Change the pipeline in place.

        Raises:
            RecipeError: the optimization does not apply to this pipeline.
        """

    @abstractmethod
    def verify(self, pipeline: Any) -> OptimizationState:
        """Inspect the pipeline itself and return what was found; the recipe is not taken as evidence."""

    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:  # noqa: ARG002 - a subclass uses them
        """Return what the optimization did in a call.

        `call` is the only evidence: what the pipeline contains was inspected by `verify`. A subclass that does not
        define this method cannot be seen, and fails `assert_optimizations_effective`.

        Args:
            pipeline: the pipeline that was called.
            call: what was observed in the call.
        """
        return self.unseen(f"{type(self).__name__} defines no effect(pipeline, call)")

    def call_context(self) -> AbstractContextManager[object]:
        """Return a context manager that sets torch's global state during each call and restores it afterwards."""
        return nullcontext()

    def takes_over(self, pipeline: Any) -> Iterable[torch.Tensor]:  # noqa: ARG002 - most optimizations take over none
        """Return the parameters whose dtype this optimization decides in place of the recipe's precision.

        Parameters whose dtype `apply` changed are known without it.
        """
        return ()

    def clash(self, other: "Optimization") -> str:
        """Return why it contradicts another optimization; empty if it does not.

        A subclass overrides this where the values of keywords decide; `conflicts` are names.
        """
        return self.conflicts.get(other.name, "")

    @property
    def needs_call_context(self) -> bool:
        """Whether the class overrides `call_context`."""
        return type(self).call_context is not Optimization.call_context

    def why_unavailable(self, device: torch.device) -> str:  # noqa: ARG002 - most optimizations run on any device
        """Return why this device cannot run it, as a phrase that follows its name; empty if it can."""
        return ""

    def __str__(self) -> str:
        """Return its canonical form: the name, and the keywords that differ from their defaults."""
        changed = [f"{field.name}={_literal(getattr(self, field.name))}" for field in self._changed_fields()]
        return f"{self.name}({', '.join(changed)})" if changed else self.name

    def _changed_fields(self) -> list[Any]:
        return [field for field in fields(self) if getattr(self, field.name) != field.default]

    def state(self, found: str, missing: list[str] | None = None) -> OptimizationState:
        """Return a result for `verify`.

        Args:
            found: what the pipeline contains.
            missing: what it lacks, one line each.
        """
        return OptimizationState(name=str(self), found=found, missing=tuple(missing or ()))

    def unseen(self, reason: str, figure: str = "") -> OptimizationEffect:
        """Return a result for `effect` where the call or the device cannot show it.

        Args:
            reason: why.
            figure: what would have been counted.
        """
        return OptimizationEffect(name=str(self), figure=figure, unseen=reason)

    def acted(self, figure: str, value: int, **details: Any) -> OptimizationEffect:
        """Return a result for `effect`.

        Args:
            figure: what was counted, as it follows the number: "attention calls of a fused kernel".
            value: the number; 0 is no effect.
            **details: other fields of `OptimizationEffect`: `unit`, `per_step`, `per_module`,
                `bytes_per_step`, `lacking`.
        """
        return OptimizationEffect(name=str(self), figure=figure, value=value, **details)


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    # A JSON string is also a Python literal, with the double quotes of the canonical form.
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
