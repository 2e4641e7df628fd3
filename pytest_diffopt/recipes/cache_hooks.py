"""What step caches find in a pipeline and its denoiser: contexts that are opened, and diffusers' hooks of blocks."""

import inspect
from collections.abc import Iterator
from types import CodeType
from typing import Any

import torch

CONTEXT = "cache_context"
_FIRST_BLOCK_HOOKS = ("fbc_leader_block_hook", "fbc_block_hook")


def hook_of(module: Any, name: str) -> Any:
    """Return a hook of diffusers' registry of a module; None without one."""
    registry = getattr(module, "_diffusers_hook", None)
    return None if registry is None else registry.get_hook(name)


def opens_context(kind: type) -> bool:
    """Return whether a method of a pipeline opens `cache_context`; diffusers has no other sign of it."""
    return any(True for _ in _opening(kind))


def contexts_of(kind: type) -> frozenset[str]:
    """Return the texts in the methods of a pipeline that open `cache_context`: the names of contexts are among them."""
    return frozenset(text for code in _opening(kind) for text in code.co_consts if isinstance(text, str))


def _opening(kind: type) -> Iterator[CodeType]:
    """Yield the code of each method of a pipeline that opens `cache_context`."""
    methods = (inspect.unwrap(one) for _name, one in inspect.getmembers(kind, inspect.isfunction))
    codes = (getattr(one, "__code__", None) for one in methods)
    yield from (code for code in codes if code is not None and CONTEXT in code.co_names)


def ends_as_it_begins(denoiser: torch.nn.Module) -> bool:
    """Return whether the first and the last of a denoiser's blocks both return the prompt's states, or both do not."""
    hooked = [one for one in denoiser.modules() if any(hook_of(one, name) for name in _FIRST_BLOCK_HOOKS)]
    kinds = (_metadata_of(one).return_encoder_hidden_states_index is None for one in (hooked[0], hooked[-1]))
    return len(set(kinds)) == 1


def _metadata_of(block: torch.nn.Module) -> Any:
    """Return what diffusers knows about the results of a block that has a hook of `first_block_cache`."""
    (hook,) = (found for name in _FIRST_BLOCK_HOOKS if (found := hook_of(block, name)))
    return hook._metadata  # noqa: SLF001 - diffusers publishes it nowhere else
