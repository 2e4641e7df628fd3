"""The reference pipeline in the precision of the optimized one: what rounding alone does to a call."""

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.recipes.precision import Fp32
from pytest_diffopt.recipes.recipe import recipe_of
from pytest_diffopt.recipes.stored_dtypes import plain_name

#: Factors by which the outputs of layers are multiplied and divided again, which rounds them once more; 1 is the plain
#: call. Each gives different rounding errors.
FIRST_SCALES = (1.0, 1.1, 1.3, 1.5, 1.7)
SCALES = (*FIRST_SCALES, *(1 + step / 20 for step in (1, 3, 4, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17, 18, 19)))

_HALVES = (torch.bfloat16, torch.float16)
# The exact types of a module's registries. A configuration is a frozen subclass, which cannot be filled again.
_REGISTRIES = (dict, OrderedDict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferencePrecision:
    """A precision in which a reference pipeline can be called.

    Attributes:
        name: the optimizations (`bf16 + int8_dynamic`) or the dtypes (`bfloat16`) that give it.
        optimizations: the optimizations; empty when dtypes give it.
        dtypes: the dtype of each component; empty when optimizations give it.
    """

    name: str
    optimizations: tuple[Optimization, ...] = ()
    dtypes: tuple[tuple[str, torch.dtype], ...] = ()

    @contextmanager
    def applied(self, reference: Any) -> Iterator[None]:
        """Give a reference this precision until the block ends."""
        with restored(reference), ExitStack() as stack:
            stack.enter_context(_without_advice())
            for optimization in self.optimizations:
                optimization.apply(reference)
                stack.enter_context(optimization.call_context())
            for component, dtype in self.dtypes:
                modules_of(reference)[component].to(dtype)
            yield


def precision_of(pipeline: Any, reference: Any) -> ReferencePrecision | None:
    """Return the precision of an optimized pipeline, to be given to its reference.

    Returns:
        The precision; None where rounding cannot be measured: the reference is not a pipeline in float32, the optimized
        pipeline is not coarser, or how it is quantized is not known.
    """
    if not _is_plain_pipeline(reference):
        return None
    recipe = recipe_of(pipeline)
    optimizations = recipe.precision_of(pipeline) if recipe else ()
    if any(not isinstance(one, Fp32) for one in optimizations):
        name = " + ".join(map(str, optimizations))
        return ReferencePrecision(name=name, optimizations=optimizations)
    return _by_dtypes(pipeline, reference)


def rounded_calls(
    reference: Any, precision: ReferencePrecision, call: Callable[[], Any], *, scales: Sequence[float] = SCALES
) -> Iterator[Any]:
    """Make a call of the reference in another precision once for each scale; the reference is restored after each.

    Args:
        reference: the called pipeline.
        precision: the precision of the optimized pipeline.
        call: makes the call.
        scales: for each call, the factor that gives it different rounding errors.

    Yields:
        The result of each call.
    """
    for scale in scales:
        with precision.applied(reference), _outputs_rounded_again(reference, scale):
            result = call()
        yield result


@contextmanager
def restored(pipeline: Any) -> Iterator[None]:
    """Restore every attribute, parameter and buffer of a pipeline and its modules when the block ends."""
    modules = {id(part): part for module in modules_of(pipeline).values() for part in module.modules()}.values()
    attributes = [_Attributes(owner) for owner in (pipeline, *modules)]
    owned = [(*one.parameters(recurse=False), *one.buffers(recurse=False)) for one in modules]
    tensors = {id(tensor): tensor for its in owned for tensor in its}.values()
    values = [_Value(tensor) for tensor in tensors]
    try:
        yield
    finally:
        for attribute in attributes:
            attribute.restore()
        for value in values:
            value.restore()


class _Value:
    """The value of a parameter or buffer, and the memory in which it is."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor
        # on the CPU, because a GPU with two pipelines may have no memory for a third copy
        self._before = tensor.data.to("cpu", copy=True)
        self._address, self._device = tensor.data_ptr(), tensor.device

    def restore(self) -> None:
        is_in_place = self._tensor.data_ptr() == self._address and self._tensor.dtype == self._before.dtype
        if is_in_place:  # a module that the optimized pipeline shares must keep its memory: CUDA graphs read it
            self._tensor.data.copy_(self._before)
        else:
            self._tensor.data = self._before.to(self._device)


class _Attributes:
    """The attributes of an object, and the content of a module's registries among them."""

    def __init__(self, owner: Any) -> None:
        self._own = vars(owner)
        self._before = dict(self._own)
        self._registries = {name: type(value)(value) for name, value in self._own.items() if type(value) in _REGISTRIES}

    def restore(self) -> None:
        self._own.clear()
        self._own.update(self._before)
        for name, content in self._registries.items():
            registry = self._own[name]
            registry.clear()
            registry.update(content)


def _by_dtypes(pipeline: Any, reference: Any) -> ReferencePrecision | None:
    """Return the dtypes of an optimized pipeline that has no recipe; None where a dtype alone does not describe it."""
    dtypes, known = [], modules_of(reference)
    for name, module in modules_of(pipeline).items():
        parameters = [one for one in module.parameters() if one.is_floating_point()]
        plain = all(type(one.data) is torch.Tensor for one in parameters)
        if not plain or any(one.dtype not in {*_HALVES, torch.float32} for one in parameters):
            return None
        sizes = Counter[torch.dtype]()
        for one in parameters:
            sizes[one.dtype] += one.numel()
        if sizes and name in known:
            dtypes.append((name, sizes.most_common(1)[0][0]))
    coarse = sorted({plain_name(dtype) for _, dtype in dtypes if dtype in _HALVES})
    return ReferencePrecision(name=", ".join(coarse), dtypes=tuple(dtypes)) if coarse else None


def _is_plain_pipeline(reference: Any) -> bool:
    if isinstance(reference, torch.nn.Module):  # its caller passes inputs in the dtype that it has now
        return False
    parameters = [one for module in modules_of(reference).values() for one in module.parameters()]
    return bool(parameters) and all(one.dtype is torch.float32 and not one.is_meta for one in parameters)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence diffusers' advice to load a model in the dtype to which it is cast, logged for each component."""
    logger = logging.getLogger("diffusers.models.modeling_utils")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _outputs_rounded_again(pipeline: Any, scale: float) -> Iterator[None]:
    def hook(_layer: torch.nn.Module, _inputs: Any, output: Any) -> Any:
        is_half = isinstance(output, torch.Tensor) and output.dtype in _HALVES
        return output * scale / scale if is_half else None  # None keeps the output

    with ExitStack() as stack:
        if scale != 1:
            for layer in {part for module in modules_of(pipeline).values() for part in module.modules()}:
                stack.callback(layer.register_forward_hook(hook).remove)
        yield
