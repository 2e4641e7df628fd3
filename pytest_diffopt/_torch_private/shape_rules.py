"""Torch's rules for the shapes, strides and dtypes of results on CUDA, which need no GPU."""

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode, UnsupportedOperatorException

FAKE_CUDA = torch.device("cuda", 0)
#: Raised for an operation without a shape rule.
NO_SHAPE_RULE = (UnsupportedOperatorException, DynamicOutputShapeException, NotImplementedError)
_MISSING_CUDA = (
    "not linked with support for cuda",
    "not compiled with CUDA",
    # A CUDA build of torch on a machine without a GPU: no driver, one too old, or no GPU for it.
    "Found no NVIDIA driver",
    "CUDA driver version is insufficient",
    "no CUDA-capable device",
)


@functools.lru_cache(maxsize=1)
def _fake_tensor_mode() -> FakeTensorMode:
    return FakeTensorMode()


@contextmanager
def shape_rules() -> Iterator[None]:
    """Enter the mode in which operations on fake CUDA tensors return fake results.

    An invalid call raises. The mode would log its traceback as well; that log is disabled meanwhile.
    """
    log = logging.getLogger("torch._subclasses.fake_tensor")
    was_disabled, log.disabled = log.disabled, True
    try:
        with _fake_tensor_mode():
            yield
    finally:
        log.disabled = was_disabled


def is_caused_by_missing_cuda(error: Exception) -> bool:
    """Return whether a shape rule failed because this torch has no CUDA or this machine no driver."""
    return any(words in str(error) for words in _MISSING_CUDA)


def suggested_memory_format(tensor: torch.Tensor) -> torch.memory_format:
    """Return the memory format that a tensor's strides suggest."""
    return torch._prims_common.suggest_memory_format(tensor)
