"""Faults of quantized weights and activations: scales, zero points, packing, saturation."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torchao.quantization.quantize_.workflows.int8 import int8_tensor

from benchmarks.injected_faults.declaring import InjectedFault, Injection, replaced, wrapped
from pytest_diffopt import AllowedSyncs

_DYNAMIC = 'bf16 + sdpa + int8_dynamic(target=["denoiser"], filter="all")'
#: Eager torchao on a GPU reads values while it quantizes each activation; compiled code does not.
_DYNAMIC_SYNCS = tuple(
    AllowedSyncs(where=where, per_step=per_step, reason="eager torchao reads values while it quantizes activations")
    for where, per_step in {
        "activations.py:forward": 528,
        "attention.py:forward": 528,
        "attention_processor.py:__call__": 4224,
        "embeddings.py:forward": 632,
        "resnet.py:forward": 2134,
        "transformer_2d.py:_get_output_for_continuous_inputs": 336,
        "transformer_2d.py:_operate_on_continuous_inputs": 336,
    }.items()
)
_INT8 = "bf16 + sdpa + int8_weight_only"
_INT4 = "bf16 + sdpa + int4_weight_only"
_INT8_RANGE = (-128, 127)
_INT16_RANGE = (-(2**15), 2**15 - 1)
_ZERO_POINT = 8


def _weights_changed(name: str, change: Callable[[Any], torch.Tensor]) -> Injection:
    """Replace one part of every quantized weight by the result of `change(weight)`."""

    @contextmanager
    def inject(pipeline: Any) -> Iterator[None]:
        with ExitStack() as stack:
            for weight in _quantized_weights(pipeline.unet):
                stack.enter_context(replaced(weight, name, change(weight)))
            yield

    return inject


def _quantized_weights(module: torch.nn.Module) -> Sequence[Any]:
    weights = (part.weight for part in module.modules() if isinstance(part, torch.nn.Linear))
    return [weight for weight in weights if hasattr(weight, "qdata")]


def _scale_of_columns(weight: Any) -> torch.Tensor:
    """Return the scale of a column for each row, as an index into the wrong axis does."""
    columns = weight.dequantize().abs().amax(dim=0) / _INT8_RANGE[1]
    rows = torch.arange(weight.scale.numel()) % columns.numel()
    scale: torch.Tensor = columns[rows].reshape(weight.scale.shape).to(weight.scale.dtype)
    return scale


def _one_scale(weight: Any) -> torch.Tensor:
    scale: torch.Tensor = weight.scale
    return scale.flatten()[0].expand(scale.shape).clone()


def _off_by_a_zero_point(weight: Any) -> torch.Tensor:
    shifted: torch.Tensor = (weight.qdata.to(torch.int16) + _ZERO_POINT).clamp(*_INT8_RANGE)
    return shifted.to(torch.int8)


def _neighbours_swapped(weight: Any) -> torch.Tensor:
    qdata: torch.Tensor = weight.qdata
    return qdata.reshape(qdata.shape[0], -1, 2).flip(-1).reshape(qdata.shape).contiguous()


def _groups_shifted(weight: Any) -> torch.Tensor:
    scale: torch.Tensor = weight.scale
    return scale.roll(1, dims=0)


def _saturated(_matmul: Any, a: torch.Tensor, b: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    return (a.float() @ b.float()).clamp(*_INT16_RANGE).to(scales.dtype) * scales


def _scaled_by_the_first_token(quantize: Any, activation: torch.Tensor, *args: Any, **keywords: Any) -> Any:
    first = activation.reshape(-1, activation.shape[-1])[0].abs().amax()
    return quantize(activation.clamp(-first, first), *args, **keywords)


@contextmanager
def _some_layers_left_out(pipeline: Any) -> Iterator[None]:
    block = pipeline.unet.up_blocks[0]
    layers = [part for part in block.modules() if isinstance(part, torch.nn.Linear) and hasattr(part.weight, "qdata")]
    with ExitStack() as stack:
        for layer in layers:
            plain = torch.nn.Parameter(layer.weight.dequantize(), requires_grad=False)
            stack.enter_context(replaced(layer, "weight", plain))
        yield


def _saturating(_pipeline: Any) -> AbstractContextManager[Any]:
    return wrapped(int8_tensor, "int_scaled_matmul", _saturated)


def _static(_pipeline: Any) -> AbstractContextManager[Any]:
    return wrapped(int8_tensor, "_choose_quant_func_and_quantize_tensor", _scaled_by_the_first_token)


FAULTS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="int8-scale-of-the-wrong-axis",
        imitates="rows of int8 weights are scaled by the scales of columns",
        recipe=_DYNAMIC,
        allow_syncs=_DYNAMIC_SYNCS,
        inject=_weights_changed("scale", _scale_of_columns),
    ),
    InjectedFault(
        name="int8-one-scale-for-all-rows",
        imitates="a kernel reads the first row's scale for every row",
        recipe=_INT8,
        inject=_weights_changed("scale", _one_scale),
    ),
    InjectedFault(
        name="int8-zero-point-lost",
        imitates="weights are quantized with a zero point that the product does not subtract",
        precedent="pytorch/ao#1317 (unexpected zero points)",
        recipe=_INT8,
        inject=_weights_changed("qdata", _off_by_a_zero_point),
    ),
    InjectedFault(
        name="int8-sums-saturate",
        imitates="sums of int8 products saturate at 16 bits, as on CPUs without VNNI",
        recipe=_DYNAMIC,
        allow_syncs=_DYNAMIC_SYNCS,
        inject=_saturating,
    ),
    InjectedFault(
        name="int8-activation-scale-of-the-first-token",
        imitates="every token is quantized with the scale of the first",
        recipe=_DYNAMIC,
        allow_syncs=_DYNAMIC_SYNCS,
        inject=_static,
    ),
    InjectedFault(
        name="int4-neighbours-swapped",
        imitates="the two halves of each byte are unpacked in the wrong order",
        recipe=_INT4,
        inject=_weights_changed("qdata", _neighbours_swapped),
    ),
    InjectedFault(
        name="int4-groups-shifted",
        imitates="each group of weights gets its neighbour's scale",
        recipe=_INT4,
        inject=_weights_changed("scale", _groups_shifted),
    ),
    InjectedFault(
        name="int8-layers-left-out",
        imitates="a filter by name misses the layers of one block",
        recipe=_INT8,
        inject=_some_layers_left_out,
    ),
)
