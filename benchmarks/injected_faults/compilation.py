"""Compilation faults: graph breaks, recompiles, code that is not compiled or that computes different values."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.injected_faults.declaring import InjectedFault, wrapped

_COMPILED = 'bf16 + sdpa + channels_last + fuse_qkv + compile(target=["denoiser"])'
_LARGE = 1e4


def _checked(forward: Any, sample: Any, *args: Any, **keywords: Any) -> Any:
    if sample.abs().amax() > _LARGE:
        sample = sample / _LARGE
    return forward(sample, *args, **keywords)


def _masked_up_to(forward: Any, sample: Any, *args: Any, **keywords: Any) -> Any:
    """Fill each row of a mask up to an index that is a tensor's value."""
    mask = torch.zeros(sample.shape[0], 4, device=sample.device)
    lengths = (sample[:, 0, 0, 0] * 0 + 2).to(torch.int64)
    for row in range(sample.shape[0]):
        mask[row, : int(lengths[row])] = 1
    return forward(sample * mask.amax(), *args, **keywords)


@contextmanager
def _counting_calls(pipeline: Any) -> Iterator[None]:
    unet = pipeline.unet
    unet.calls_so_far = 0

    def around(forward: Any, *args: Any, **keywords: Any) -> Any:
        unet.calls_so_far += 1
        return forward(*args, **keywords)

    try:
        with wrapped(unet, "forward", around):
            yield
    finally:
        del unet.calls_so_far


def _otherwise_when_compiled(forward: Any, *args: Any, **keywords: Any) -> Any:
    output = forward(*args, **keywords)
    return (output[0] * 1.1,) if torch.compiler.is_compiling() else output


@contextmanager
def _before_compiled_code(pipeline: Any) -> Iterator[None]:
    """Call the UNet with its timestep as a Python number, as a pipeline that reads `t.item()` does."""
    unet = pipeline.unet
    compiled = unet._compiled_call_impl  # noqa: SLF001 - `Module.compile` stores the compiled call there

    @functools.wraps(compiled)
    def call(sample: Any, timestep: Any, *args: Any, **keywords: Any) -> Any:
        return compiled(sample, timestep.item(), *args, **keywords)

    unet._compiled_call_impl = call  # noqa: SLF001 - see above
    try:
        yield
    finally:
        unet._compiled_call_impl = compiled  # noqa: SLF001 - see above


@contextmanager
def _never_called(pipeline: Any) -> Iterator[None]:
    """Remove the compiled code, as an inverted `if` around the call does."""
    unet = pipeline.unet
    compiled = unet._compiled_call_impl  # noqa: SLF001 - `Module.compile` stores the compiled call there
    unet._compiled_call_impl = None  # noqa: SLF001 - see above
    try:
        yield
    finally:
        unet._compiled_call_impl = compiled  # noqa: SLF001 - see above


FAULTS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="graph-break-on-a-value",
        imitates="an if on a tensor's value in the model's forward",
        precedent="huggingface/diffusers#12512 (reads a weight's value)",
        recipe=_COMPILED,
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _checked),
    ),
    InjectedFault(
        name="graph-break-on-a-mask",
        imitates="each row of a mask is filled up to a tensor's value",
        precedent="huggingface/diffusers#11457",
        recipe=_COMPILED,
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _masked_up_to),
    ),
    InjectedFault(
        name="recompile-for-each-timestep",
        imitates="the compiled model gets its timestep as a Python number",
        recipe=_COMPILED,
        inject=_before_compiled_code,
    ),
    InjectedFault(
        name="recompile-for-each-call",
        imitates="forward() counts its calls in an attribute of the module",
        recipe=_COMPILED,
        inject=_counting_calls,
    ),
    InjectedFault(
        name="compiled-output-differs",
        imitates="a miscompiled operation: eager is correct, compiled is not",
        precedent="torch-spyre/torch-spyre#2525",
        recipe=_COMPILED,
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _otherwise_when_compiled),
    ),
    InjectedFault(
        name="not-applied-compile",
        imitates="an inverted condition: the compiled code is never called",
        recipe=_COMPILED,
        inject=_never_called,
    ),
)
