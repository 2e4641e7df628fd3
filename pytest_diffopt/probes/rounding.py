"""Effect of rounding alone on an image: the reference pipeline with rounded weights and rounded layer outputs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from pytest_diffopt.pipelines.components import modules_of

#: Factors by which values are multiplied before rounding and divided afterwards; each gives different rounding errors.
SCALES = (1.0, 1.1, 1.3, 1.5, 1.7)


def rounding_of(pipeline: Any) -> torch.dtype | None:
    """Return the coarsest floating-point dtype of a pipeline's weights; None when none is coarser than float32."""
    dtypes = {parameter.dtype for parameter in _parameters(pipeline) if parameter.is_floating_point()}
    coarse = [dtype for dtype in dtypes if torch.finfo(dtype).eps > torch.finfo(torch.float32).eps]
    return max(coarse, key=lambda dtype: torch.finfo(dtype).eps, default=None)


def rounded_calls(pipeline: Any, dtype: torch.dtype, call: Callable[[], Any]) -> Iterator[Any]:
    """Make a call once for each of `SCALES`, with the weights and the output of every layer rounded to `dtype`.

    Args:
        pipeline: the called pipeline; its float32 weights are restored after each call.
        dtype: dtype to which values are rounded; arithmetic inside of a layer remains float32.
        call: makes the call.

    Yields:
        The result of each call.
    """
    for scale in SCALES:
        with _weights_rounded(pipeline, dtype, scale), _outputs_rounded(pipeline, dtype, scale):
            yield call()


@contextmanager
def _weights_rounded(pipeline: Any, dtype: torch.dtype, scale: float) -> Iterator[None]:
    # kept on the CPU: a GPU with two pipelines may have no memory for a third copy
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
        return _rounded(output, dtype, scale) if is_float else None  # None keeps the output

    with ExitStack() as stack:
        for layer in {part for module in modules_of(pipeline).values() for part in module.modules()}:
            stack.callback(layer.register_forward_hook(hook).remove)
        yield


def _rounded(values: torch.Tensor, dtype: torch.dtype, scale: float) -> torch.Tensor:
    return (values * scale).to(dtype).to(values.dtype) / scale


def _parameters(pipeline: Any) -> list[torch.Tensor]:
    """Return each parameter once: the stages of a chain may share modules, and modules may share parameters."""
    found = [parameter for module in modules_of(pipeline).values() for parameter in module.parameters()]
    return list({id(parameter): parameter for parameter in found}.values())
