"""The memory format that the CPU gives to a result where the GPU gives it another one.

The CPU's convolution sums in another order for channels-last tensors. A group norm keeps that layout on the CPU alone;
the next operation is computed on a copy in the CPU's layout, so that values are the CPU's bit for bit.
"""

from typing import Any

import torch

from pytest_diffopt.null_gpu.values.host_calls import leaves
from pytest_diffopt.null_gpu.values.torch_internals import WeakStorage, has_expired, storage_key, weak_storage

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
_SWEEP_AT_LEAST = 256


class Layouts:
    """The storages that the CPU lays out channels last and the GPU does not."""

    def __init__(self) -> None:
        self._channels_last: dict[int, WeakStorage] = {}

    def remember(self, computed: Any, written: tuple[torch.Tensor, ...]) -> None:
        """Keep which of the CPU's results are channels last where the GPU's are not."""
        for output, result in zip(written, leaves(computed), strict=False):
            if not isinstance(result, torch.Tensor):
                continue
            if _is_channels_last(result) and result.stride() != output.stride():
                self._channels_last[storage_key(output)] = weak_storage(output)
            elif self._channels_last:
                self._channels_last.pop(storage_key(output), None)
        if len(self._channels_last) > _SWEEP_AT_LEAST:
            self._channels_last = {key: ref for key, ref in self._channels_last.items() if not has_expired(ref)}

    def apply(self, given: Any, on_host: Any) -> Any:
        """Return arguments on the host, with channels-last copies of the tensors that are that on the CPU."""
        if not self._channels_last:
            return on_host
        if isinstance(given, (list, tuple)):
            return type(given)(self.apply(value, view) for value, view in zip(given, on_host, strict=True))
        if not isinstance(given, torch.Tensor) or not given.is_cuda or given.dim() not in _CHANNELS_LAST:
            return on_host
        if storage_key(given) not in self._channels_last:
            return on_host
        # a batch of one may have any batch stride, by which CPU kernels choose, so the strides are computed again
        return torch.empty_like(on_host, memory_format=_CHANNELS_LAST[given.dim()]).copy_(on_host)


def _is_channels_last(tensor: torch.Tensor) -> bool:
    memory_format = _CHANNELS_LAST.get(tensor.dim())
    # a tensor of one channel or one pixel is both, and then strides do not matter
    return (
        memory_format is not None and tensor.is_contiguous(memory_format=memory_format) and not tensor.is_contiguous()
    )
