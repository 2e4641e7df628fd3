"""What rounding alone does to an image: the reference drawn again, what its layers hold and give rounded."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from pytest_diffopt.pipelines.components import modules_of

#: By what values are multiplied before they are rounded, and divided by after it: each rounds them in another way.
SCALES = (1.0, 1.1, 1.3, 1.5, 1.7)


def rounding_of(pipeline: Any) -> torch.dtype | None:
    """Return the coarsest dtype that a pipeline's weights have; None where nothing is coarser than float32."""
    dtypes = {parameter.dtype for parameter in _parameters(pipeline) if parameter.is_floating_point()}
    coarse = [dtype for dtype in dtypes if torch.finfo(dtype).eps > torch.finfo(torch.float32).eps]
    return max(coarse, key=lambda dtype: torch.finfo(dtype).eps, default=None)


def rounded_calls(pipeline: Any, dtype: torch.dtype, call: Callable[[], Any]) -> Iterator[Any]:
    """Make a call once for each of `SCALES`, every weight and every layer's output rounded as `dtype` rounds them.

    Args:
        pipeline: whose; its float32 weights are what they were after each call.
        dtype: what is rounded to; the arithmetic between two layers stays float32.
        call: the call.

    Yields:
        What each call returned.
    """
    for scale in SCALES:
        with _weights_rounded(pipeline, dtype, scale), _outputs_rounded(pipeline, dtype, scale):
            yield call()


@contextmanager
def _weights_rounded(pipeline: Any, dtype: torch.dtype, scale: float) -> Iterator[None]:
    # kept on the CPU: a GPU that holds two pipelines may have no room for a third
    kept = [(one, one.detach().to("cpu", copy=True)) for one in _parameters(pipeline) if one.dtype is torch.float32]
    try:
        with torch.no_grad():
            for parameter, _ in kept:
                parameter.copy_(_rounded(parameter, dtype, scale))
        yield
    finally:
        with torch.no_grad():
            for parameter, value in kept:
                parameter.copy_(value)


@contextmanager
def _outputs_rounded(pipeline: Any, dtype: torch.dtype, scale: float) -> Iterator[None]:
    def hook(_layer: torch.nn.Module, _inputs: Any, output: Any) -> Any:
        is_float = isinstance(output, torch.Tensor) and output.dtype is torch.float32
        return _rounded(output, dtype, scale) if is_float else None  # None leaves an output as it is

    with ExitStack() as stack:
        for layer in {part for module in modules_of(pipeline).values() for part in module.modules()}:
            stack.callback(layer.register_forward_hook(hook).remove)
        yield


def _rounded(values: torch.Tensor, dtype: torch.dtype, scale: float) -> torch.Tensor:
    return (values * scale).to(dtype).to(values.dtype) / scale


def _parameters(pipeline: Any) -> list[torch.Tensor]:
    """Return each parameter once: a chain's stages may share a module, and modules a parameter."""
    found = [parameter for module in modules_of(pipeline).values() for parameter in module.parameters()]
    return list({id(parameter): parameter for parameter in found}.values())
