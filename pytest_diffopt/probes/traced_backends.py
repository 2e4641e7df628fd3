"""Calls of the backends of diffusers' attention dispatcher, and whether their masks change the result."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch

from pytest_diffopt._torch_private.dispatch_state import without_modes
from pytest_diffopt.probes.call_position import CallPosition
from pytest_diffopt.records import BackendCalls

_DISPATCH = "diffusers.models.attention_dispatch"


class BackendTrace:
    """Counts the calls of every attention backend while the block of `watching` runs.

    Args:
        position: the position of the call.
        has_values: whether tensors have values, so that the effect of a mask can be computed.
    """

    def __init__(self, position: CallPosition, *, has_values: bool) -> None:
        self._position = position
        self._has_values = has_values
        self._counts: dict[tuple[str, str, int | None], list[int]] = {}
        self._honoured: dict[tuple[Any, ...], bool] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count while the block runs."""
        module = sys.modules.get(_DISPATCH)
        if module is None:
            yield
            return
        backends = module._AttentionBackendRegistry._backends  # noqa: SLF001 - diffusers has no public accessor
        before = dict(backends)
        backends.update({name: self._counted(str(name.value), function) for name, function in before.items()})
        try:
            yield
        finally:
            backends.update(before)

    def calls(self) -> tuple[BackendCalls, ...]:
        """Return what was counted so far."""
        return tuple(
            BackendCalls(backend=name, module=module, step=step, count=count, masked=masked, ignored_masks=ignored)
            for (name, module, step), (count, masked, ignored) in self._counts.items()
        )

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            mask = kwargs.get("attn_mask")
            counts = self._counts.setdefault((name, self._position.module, self._position.step), [0, 0, 0])
            counts[0] += 1
            counts[1] += mask is not None
            counts[2] += mask is not None and self._has_values and not self._honours(name, function, args, kwargs)
            return result

        return counted

    def _honours(self, name: str, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> bool:
        """Return whether a mask of the second half of the keys changes the result; tried once for each shape."""
        mask = kwargs["attn_mask"]
        shape = (name, mask.shape, mask.dtype)
        if shape not in self._honoured:
            with without_modes():
                self._honoured[shape] = _changes_result(function, args, kwargs, mask)
        return self._honoured[shape]


def _changes_result(function: Callable[..., Any], args: Any, kwargs: dict[str, Any], mask: torch.Tensor) -> bool:
    keys = mask.shape[-1]
    if keys == 1:
        return True  # a mask of the only key has no result to compare
    kept = (torch.arange(keys, device=mask.device) < keys // 2).expand(mask.shape)
    if mask.dtype != torch.bool:
        kept = torch.zeros_like(mask).masked_fill(~kept, torch.finfo(mask.dtype).min)
    masked = function(*args, **{**kwargs, "attn_mask": kept})
    return not torch.equal(masked, function(*args, **{**kwargs, "attn_mask": None}))
