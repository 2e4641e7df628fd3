"""Which storages have no values, and which operation did not compute them."""

import functools
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from pytest_diffopt.null_gpu.values.torch_internals import WeakStorage, has_expired, storage_key, weak_storage

_PACKAGE = str(Path(__file__).parent) + "/"
_TORCH = str(Path(torch.__file__).parent) + "/"
_SWEEP_AT_LEAST = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where values went missing.

    Attributes:
        operation: the operation that was not computed.
        location: the line that called it, `file:line`.
        reason: why it was not computed.
    """

    operation: str
    location: str
    reason: str

    def __str__(self) -> str:
        """Return a clause for a message."""
        return f"{self.operation} at {self.location} was not computed: {self.reason}"


class MissingValues:
    """The storages without values. A storage that is not listed has values."""

    def __init__(self) -> None:
        self._origins: dict[int, tuple[WeakStorage, Origin]] = {}
        self._sweep_at = _SWEEP_AT_LEAST

    def origin(self, tensor: torch.Tensor) -> Origin | None:
        """Return why a tensor has no values, or None if it has."""
        found = self._origins.get(storage_key(tensor))
        return found[1] if found else None

    def add(self, tensor: torch.Tensor, origin: Origin) -> None:
        """List a tensor's storage."""
        self._origins[storage_key(tensor)] = (weak_storage(tensor), origin)
        if len(self._origins) > self._sweep_at:
            self._origins = {key: entry for key, entry in self._origins.items() if not has_expired(entry[0])}
            self._sweep_at = max(_SWEEP_AT_LEAST, 2 * len(self._origins))

    def written(self, tensor: torch.Tensor) -> None:
        """Take a storage from the list if a tensor that was computed covers all of it."""
        if self._origins and tensor.numel() * tensor.element_size() >= tensor.untyped_storage().nbytes():
            self._origins.pop(storage_key(tensor), None)


@functools.lru_cache(maxsize=4096)
def _is_machinery(file: str) -> bool:
    return file.startswith((_PACKAGE, _TORCH, "<frozen ", "<eval_with_key>"))


def calling_line() -> str:
    """Return the innermost `file:line` of this thread outside torch and this package."""
    frame = sys._getframe(1)  # noqa: SLF001 - CPython's own way to a frame without a traceback
    innermost = frame
    while _is_machinery(frame.f_code.co_filename):
        if frame.f_back is None:
            return f"{innermost.f_code.co_filename}:{innermost.f_lineno}"
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
