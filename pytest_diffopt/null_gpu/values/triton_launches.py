"""The bytes that launches of Triton's kernels move, those that Inductor generated among them."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from pytest_diffopt.null_gpu.values.work import next_number, remember

# The classes whose `run` launches a kernel: with Inductor's, sizes are known also where its code has symbols for them.
_LAUNCHERS = (
    ("torch._inductor.runtime.triton_heuristics", "CachingAutotuner"),
    ("triton.runtime.jit", "JITFunction"),
)
# How Inductor names an argument that a kernel reads and writes.
_READ_AND_WRITTEN = "in_out_ptr"
_MARK = "_diffopt_remembers"


@contextmanager
def launches_remembered() -> Iterator[None]:
    """Remember each launch of the block as numbered work; outside of it a launch costs nothing more."""
    with ExitStack() as stack:
        for module, name in _LAUNCHERS:
            # What is not imported has launched nothing, and is not imported for that.
            launcher = getattr(sys.modules.get(module), name, None)
            if launcher is not None and not hasattr(launcher.run, _MARK):
                stack.callback(setattr, launcher, "run", launcher.run)
                launcher.run = _remembering(launcher.run)
        yield


def _remembering(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def remembered(kernel: Any, *args: Any, **kwargs: Any) -> Any:
        number = next_number()
        result = run(kernel, *args, **kwargs)
        remember(number, None, args, kwargs, _also_read(kernel, args))
        return result

    setattr(remembered, _MARK, True)
    return remembered


def _also_read(kernel: Any, args: tuple[Any, ...]) -> tuple[torch.Tensor, ...]:
    """Return the arguments that a kernel of Inductor's writes besides reading them."""
    names = getattr(getattr(kernel, "fn", None), "arg_names", ())
    return tuple(argument for name, argument in zip(names, args, strict=False) if name.startswith(_READ_AND_WRITTEN))
