"""The parameters whose dtype an optimization decides in place of the recipe's precision, such as float8 storage."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch

from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.recipes.optimization import Optimization, Stage

#: Parameters by their path in the pipeline, with the dtype in which an optimization stored them.
StoredDtypes = Mapping[str, torch.dtype]

# `torch.compile(module)` wraps the module and adds this to the paths of its parameters.
_COMPILED_PREFIX = "_orig_mod."

_taken_over: "WeakKeyDictionary[Any, dict[str, dict[str, torch.dtype]]]" = WeakKeyDictionary()


def parameters_by_path(pipeline: Any) -> dict[str, torch.Tensor]:
    """Return the floating-point parameters of a pipeline by path, such as `unet.conv_in.weight`."""
    return {
        f"{component}.{path}".replace(_COMPILED_PREFIX, ""): parameter
        for component, module in modules_of(pipeline).items()
        for path, parameter in module.named_parameters()
        if parameter.is_floating_point()
    }


@contextmanager
def dtype_changes_noted(pipeline: Any, optimization: Optimization) -> Iterator[None]:
    """Note which parameters an optimization stores in another dtype while the block applies it.

    The optimizations before the precision are not noted: the precision decides the dtype of everything that they leave.
    """
    before = _dtypes(pipeline)
    yield
    if optimization.stage < Stage.PRECISION:
        return
    changed = {path: dtype for path, dtype in _dtypes(pipeline).items() if before.get(path, dtype) != dtype}
    if changed:
        owners = _taken_over.setdefault(pipeline, {})
        for others in owners.values():
            for path in changed:
                others.pop(path, None)
        owners[optimization.name] = changed


def stored_by(pipeline: Any, optimization: Optimization) -> StoredDtypes:
    """Return the parameters that an optimization stored in another dtype when it was applied to a pipeline."""
    try:
        return _taken_over.get(pipeline, {}).get(optimization.name, {})
    except TypeError:  # no recipe can be applied to a callable that cannot be weakly referenced
        return {}


def paths_taken_over(pipeline: Any, optimization: Optimization) -> frozenset[str]:
    """Return the paths of the parameters that an optimization stored, or that it declares in `takes_over`."""
    declared = {id(parameter) for parameter in optimization.takes_over(pipeline)}
    paths = (path for path, parameter in parameters_by_path(pipeline).items() if id(parameter) in declared)
    return frozenset(paths) | frozenset(stored_by(pipeline, optimization))


def lost_storage(pipeline: Any, optimization: Optimization) -> list[str]:
    """Return a line for each dtype in which an optimization stored parameters that have another dtype now."""
    stored, now = stored_by(pipeline, optimization), _dtypes(pipeline)
    lines = []
    for dtype in sorted(set(stored.values()), key=str):
        paths = [path for path, then in stored.items() if then == dtype and path in now]
        lost = [now[path] for path in paths if now[path] != dtype]
        if lost:
            kinds = ", ".join(sorted({plain_name(one) for one in lost}))
            lines.append(f"{len(lost)} of {len(paths)} parameters that it stored in {plain_name(dtype)} are {kinds}")
    return lines


def plain_name(dtype: torch.dtype) -> str:
    """Return a dtype's name without `torch.`."""
    return str(dtype).removeprefix("torch.")


def _dtypes(pipeline: Any) -> dict[str, torch.dtype]:
    return {path: parameter.dtype for path, parameter in parameters_by_path(pipeline).items()}
