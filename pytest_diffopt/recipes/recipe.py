"""A recipe: its rules, its application to a pipeline, and its verification."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from itertools import pairwise, permutations
from typing import Any
from weakref import WeakKeyDictionary

import torch

from pytest_diffopt.errors import RecipeError, RecipeWarning
from pytest_diffopt.recipes.applied_at import note_applied
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.recipes.precision import Fp32, Precision
from pytest_diffopt.recipes.stored_dtypes import dtype_changes_noted, lost_storage, paths_taken_over, stored_by
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState

_applied: "WeakKeyDictionary[Any, Recipe]" = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An ordered stack of optimizations.

    Raises:
        RecipeError: it is empty, names an optimization twice or in the wrong order, or combines optimizations that
            contradict each other.
    """

    optimizations: tuple[Optimization, ...]

    def __post_init__(self) -> None:
        """Check the rules before a pipeline is built."""
        if not self.optimizations:
            msg = "a recipe must name at least one optimization; the plain one is fp32"
            raise RecipeError(msg)
        self._refuse_repetition()
        self._refuse_conflicts()
        self._refuse_wrong_order()

    def __str__(self) -> str:
        """Return the canonical form, which `parse_recipe` accepts."""
        return " + ".join(str(optimization) for optimization in self.optimizations)

    @property
    def test_id(self) -> str:
        """The recipe without blanks and quotes, for test ids."""
        return str(self).replace(" ", "").replace('"', "")

    @property
    def compiles(self) -> bool:
        """Whether the recipe includes `compile`."""
        return any(optimization.name == "compile" for optimization in self.optimizations)

    def reference(self) -> "Recipe":
        """Return the reference recipe: fp32, and the optimizations that are meant to draw another image."""
        kept = tuple(optimization for optimization in self.optimizations if optimization.changes_image_by_design)
        return Recipe(optimizations=tuple(sorted((*kept, Fp32()), key=lambda one: one.stage)))

    def precision_of(self, pipeline: Any) -> tuple[Optimization, ...]:
        """Return the optimizations that decide in which precision a pipeline stores and computes values.

        Args:
            pipeline: a pipeline to which the recipe was applied.
        """
        return tuple(one for one in self.optimizations if one.affects_precision or stored_by(pipeline, one))

    def apply(self, pipeline: Any) -> Any:
        """Apply every optimization in order and return the same pipeline.

        Raises:
            RecipeError: the pipeline already has a recipe, or one of the optimizations does not apply to it.
        """
        if pipeline in _applied:
            msg = f"a pipeline takes one recipe: this {type(pipeline).__name__} already has {_applied[pipeline]}"
            raise RecipeError(msg)
        return self._applied_to(pipeline, self.optimizations)

    def apply_to_reference(self, pipeline: Any) -> Any:
        """Apply the optimizations that the reference of this recipe lacks, and return the same pipeline.

        Args:
            pipeline: a pipeline without a recipe, or one with `reference()`.

        Raises:
            RecipeError: the pipeline has another recipe, or one of the optimizations does not apply to it.
        """
        known = _applied.get(pipeline)
        if known is None:
            return self.apply(pipeline)
        if str(known) != str(self.reference()):
            msg = f"{self} starts from a pipeline without a recipe or with {self.reference()}, got one with {known}"
            raise RecipeError(msg)
        return self._applied_to(pipeline, tuple(one for one in self.optimizations if one not in known.optimizations))

    def _applied_to(self, pipeline: Any, optimizations: tuple[Optimization, ...]) -> Any:
        self._refuse_unavailable(pipeline)
        for line in self.advice():
            warnings.warn(line, RecipeWarning, stacklevel=3)
        note_applied(pipeline)
        with _preserve_random_state(pipeline):
            for optimization in optimizations:
                with dtype_changes_noted(pipeline, optimization):
                    optimization.apply(pipeline)
        _applied[pipeline] = self
        if any(optimization.needs_call_context for optimization in optimizations):
            _run_in_context(pipeline, optimizations)
        return pipeline

    def advice(self) -> tuple[str, ...]:
        """Return one line for each optimization that has no benefit in this recipe, with published figures."""
        names = {optimization.name for optimization in self.optimizations}
        return tuple(
            f"{optimization.name} has no benefit without {partner}: {known}"
            for optimization in self.optimizations
            for partner, known in optimization.partners.items()
            if partner not in names
        )

    def why_unavailable(self, device: torch.device) -> str:
        """Return why this device cannot run the recipe; empty if it can."""
        reasons = [(one.name, one.why_unavailable(device)) for one in self.optimizations]
        return "; ".join(f"{name} {reason}" for name, reason in reasons if reason)

    def verify(self, pipeline: Any) -> tuple[OptimizationState, ...]:
        """Inspect the pipeline for every optimization, inside its call context.

        A precision is verified for the parameters that no other optimization takes over. An optimization whose
        parameters no longer have the dtype in which it stored them is not applied.
        """
        with call_context(pipeline):
            return tuple(self._verified(optimization, pipeline) for optimization in self.optimizations)

    @property
    def acts_on_device_memory(self) -> bool:
        """Whether an optimization acts in the memory of a GPU, so that a call on the CPU does not show its effect."""
        return any(optimization.acts_on_device_memory for optimization in self.optimizations)

    def effects(self, pipeline: Any, call: CallEvidence) -> tuple[OptimizationEffect, ...]:
        """Return what each optimization did in a call of the pipeline."""
        return tuple(optimization.effect(pipeline, call) for optimization in self.optimizations)

    def _verified(self, optimization: Optimization, pipeline: Any) -> OptimizationState:
        if isinstance(optimization, Precision):
            others = [one for one in self.optimizations if one is not optimization]
            owners = {one.name: paths_taken_over(pipeline, one) for one in others}
            return optimization.verify_remaining(pipeline, taken_over=owners)
        state = optimization.verify(pipeline)
        return replace(state, missing=(*state.missing, *lost_storage(pipeline, optimization)))

    def _refuse_unavailable(self, pipeline: Any) -> None:
        device = getattr(pipeline, "device", None)
        reason = self.why_unavailable(device) if isinstance(device, torch.device) else ""
        if reason:
            raise RecipeError(reason)

    def _refuse_repetition(self) -> None:
        names = [optimization.name for optimization in self.optimizations]
        for name in names:
            if names.count(name) > 1:
                msg = f"a recipe names each optimization once, got {name} {names.count(name)} times: {self}"
                raise RecipeError(msg)

    def _refuse_conflicts(self) -> None:
        for optimization, other in permutations(self.optimizations, 2):
            reason = optimization.clash(other)
            if reason:
                msg = f"{optimization.name} and {other.name} contradict each other ({reason}), got: {self}"
                raise RecipeError(msg)

    def _refuse_wrong_order(self) -> None:
        for earlier, later in pairwise(self.optimizations):
            if earlier.stage > later.stage:
                right = " + ".join(str(one) for one in sorted(self.optimizations, key=lambda one: one.stage))
                msg = f"{later.name} must come before {earlier.name}, got: {self}; the right order is: {right}"
                raise RecipeError(msg)


def recipe_of(pipeline: Any) -> Recipe | None:
    """Return the recipe that was applied to a pipeline by `Recipe.apply`."""
    try:
        return _applied.get(pipeline)
    except TypeError:  # no recipe can be applied to a callable that cannot be weakly referenced
        return None


@contextmanager
def call_context(pipeline: Any) -> Iterator[None]:
    """Set the global state of torch that the pipeline's recipe needs, as its `__call__` does."""
    with _entered(getattr(type(pipeline), "_diffopt_call_contexts", ())):
        yield


@contextmanager
def _entered(contexts: Iterable[Callable[[], AbstractContextManager[object]]]) -> Iterator[None]:
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context())
        yield


def _preserve_random_state(pipeline: Any) -> AbstractContextManager[None]:
    """Restore the random state afterwards: every new layer draws random numbers before its weights are loaded."""
    device = getattr(pipeline, "device", None)
    is_cuda = isinstance(device, torch.device) and device.type == "cuda" and torch.cuda.is_available()
    return torch.random.fork_rng(devices=[device] if is_cuda else [])


def _run_in_context(pipeline: Any, optimizations: tuple[Optimization, ...]) -> None:
    """Give this pipeline a subclass whose calls run in its recipe's context.

    Python looks up `__call__` on the class, so an attribute of the instance has no effect. The subclass has the name of
    the original class; `isinstance` and `save_pretrained` work as before.
    """
    original = type(pipeline)

    @wraps(original.__call__)  # diffusers and `verify` inspect the signature and the code of the pipeline's call
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with _entered(own):
            return original.__call__(self, *args, **kwargs)

    # a class that has some already runs them in its own call, and lists them for `call_context`
    own = tuple(one.call_context for one in optimizations if one.needs_call_context)
    every = (*getattr(original, "_diffopt_call_contexts", ()), *own)
    body = {"__call__": call, "__module__": original.__module__, "_diffopt_call_contexts": every}
    pipeline.__class__ = type(original.__name__, (original,), body)
