"""In which pieces the VAEs of a pipeline decode and encode."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from pytest_diffopt.probes.noted_calls import calls_noted
from pytest_diffopt.records import VaeCalls

_METHODS = {"decode": "decoder", "encode": "encoder"}


class VaeTrace:
    """Counts the sizes with which each VAE and its inner decoder are called, while the block of `watching` runs.

    Args:
        modules: the components by name.
    """

    def __init__(self, modules: Mapping[str, torch.nn.Module]) -> None:
        self._vaes = {name: module for name, module in modules.items() if hasattr(module, "decode")}
        self._whole: dict[tuple[str, str], torch.Size] = {}
        self._pieces: Counter[tuple[str, str, tuple[int, ...]]] = Counter()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count while the block runs."""
        with ExitStack() as stack:
            for name, vae in self._vaes.items():
                for method, inner in _METHODS.items():
                    if not callable(getattr(vae, method, None)) or not isinstance(
                        getattr(vae, inner, None), torch.nn.Module
                    ):
                        continue
                    stack.enter_context(calls_noted(vae, method, self._whole_call(name, method)))
                    hook = getattr(vae, inner).register_forward_pre_hook(self._piece(name, method))
                    stack.callback(hook.remove)
            yield

    def calls(self) -> tuple[VaeCalls, ...]:
        """Return what was counted so far."""
        return tuple(
            VaeCalls(component=name, method=method, whole=tuple(self._whole[name, method]), piece=shape, count=count)
            for (name, method, shape), count in self._pieces.items()
            if (name, method) in self._whole
        )

    def _whole_call(self, name: str, method: str) -> Callable[[tuple[Any, ...]], None]:
        def note(args: tuple[Any, ...]) -> None:
            if args and isinstance(args[0], torch.Tensor):
                self._whole[name, method] = args[0].shape

        return note

    def _piece(self, name: str, method: str) -> Callable[..., None]:
        def note(_module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
            if inputs and isinstance(inputs[0], torch.Tensor):
                self._pieces[name, method, tuple(inputs[0].shape)] += 1

        return note
