"""Comparison of every quantized layer with the product of its input and its dequantized weight, in float64."""

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from pytest_diffopt._torch_private.tensors import inner_dtypes, tolerances
from pytest_diffopt.errors import ProbeError
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.pipelines.quantized_weights import can_be_dequantized, dequantized
from pytest_diffopt.probes.numerics import merged
from pytest_diffopt.records import NumericsRecord, NumericsReference, OutputDifference, Subject

_FLOAT8 = frozenset({torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2})
# Rounding to a grid of step d has a standard deviation of d / sqrt(12). int8 has 127 steps up to the largest
# activation; float8 has 3 bits of mantissa, hence steps of up to 1/8 of the value.
_INT8_ERROR = 1 / 127 / math.sqrt(12)
_FLOAT8_ERROR = 1 / 8 / math.sqrt(12)
# diffusers dequantizes a GGUF weight in half precision, with up to three roundings.
_GGUF_ERROR = 2.0**-11
# The largest of a million normally distributed errors is about 5 standard deviations.
_STANDARD_DEVIATIONS = 8.0


def compare_with_dequantized(target: Any, call: Callable[[], object], subject: Subject) -> NumericsRecord:
    """Call once, uncompiled, and compare each quantized layer's output with that of its dequantized weight.

    A layer that also quantizes its activations may differ by the rounding of these: 8 standard deviations. So may the
    layer of a GGUF file, whose weight diffusers dequantizes in half precision.

    Args:
        target: the pipeline or module.
        call: makes the call.
        subject: the pipeline.

    Raises:
        ProbeError: no linear layer of the target is quantized.
    """
    __tracebackhide__ = True
    layers = _quantized(target)
    if not layers:
        msg = f"no quantized layer to compare with its dequantized weight in {subject}"
        raise ProbeError(msg)
    differences: dict[str, OutputDifference] = {}
    with ExitStack() as stack:
        stack.enter_context(torch.compiler.set_stance("force_eager"))  # compiled code does not run the hooks
        for path, layer in layers.items():
            handle = layer.register_forward_hook(_comparing(path, differences))
            stack.callback(handle.remove)
        call()
    return NumericsRecord(
        subject=subject,
        differences=tuple(differences.values()),
        silent=() if differences else tuple(layers),
        reference=NumericsReference.DEQUANTIZED,
    )


def _quantized(target: Any) -> Mapping[str, nn.Linear]:
    return {
        ".".join(filter(None, [component, path])): module
        for component, part in modules_of(target).items()
        for path, module in part.named_modules()
        if isinstance(module, nn.Linear) and can_be_dequantized(module.weight)
    }


def _comparing(path: str, differences: dict[str, OutputDifference]) -> Callable[..., None]:
    def compare(layer: nn.Linear, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        with torch.no_grad():
            found = _difference(path, layer, inputs[0].detach(), output.detach())
        differences[path] = merged(differences[path], found) if path in differences else found

    return compare


def _difference(path: str, layer: nn.Linear, given: torch.Tensor, output: torch.Tensor) -> OutputDifference:
    weight = dequantized(layer.weight).double()
    x = given.double()
    expected = nn.functional.linear(x, weight, None if layer.bias is None else layer.bias.double())
    relative, absolute = tolerances(output.dtype)
    largest = float(expected.abs().max()) if expected.numel() else 0.0
    allowed = absolute + _STANDARD_DEVIATIONS * _rounding_error(layer.weight, x, weight)
    errors = (output.double() - expected).abs().nan_to_num(nan=math.inf, posinf=math.inf)
    error = float(errors.max()) if errors.numel() else 0.0
    return OutputDifference(
        module=path,
        output="",
        dtype=str(output.dtype).removeprefix("torch."),
        calls=1,
        values=output.numel(),
        differing_values=int((errors > allowed + relative * largest).sum()),
        max_error=error,
        max_relative_error=error / largest if largest else error,
        relative_tolerance=relative,
        absolute_tolerance=float(allowed.max()) if allowed.numel() else absolute,
    )


def _rounding_error(quantized: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the standard deviation of each output that rounding causes: of activations, or of a GGUF weight."""
    if type(quantized).__name__ == "GGUFParameter":
        return _GGUF_ERROR * nn.functional.linear(x.square(), weight.square()).sqrt()
    arguments = getattr(quantized, "act_quant_kwargs", None) or getattr(quantized, "activation_quantization", None)
    if arguments is None:
        return torch.zeros((), dtype=torch.float64, device=x.device)
    if inner_dtypes(quantized) & _FLOAT8:
        return _FLOAT8_ERROR * nn.functional.linear(x.square(), weight.square()).sqrt()
    is_per_tensor = type(getattr(arguments, "granularity", None)).__name__ == "PerTensor"
    scale: torch.Tensor = x.abs().max() if is_per_tensor else x.abs().amax(-1, keepdim=True)
    coarser = 2 if getattr(arguments, "reduce_range", False) else 1
    norms: torch.Tensor = torch.linalg.vector_norm(weight, dim=-1)
    return coarser * _INT8_ERROR * scale * norms
