"""Repeatable calls of a pipeline, and notes on the errors that they raise."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from pytest_diffopt._torch_private.structured_trace import trace_not_captured
from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.pipelines.sizes import require_divisible_sizes
from pytest_diffopt.probes.block_offload import layers_left_on_host
from pytest_diffopt.probes.denoise_loop import has_denoise_loop, watch_denoise_loop
from pytest_diffopt.probes.own_calls import call_of
from pytest_diffopt.records import Concern, Subject

# torch's words, on a GPU and on the simulated one.
_ON_TWO_DEVICES = "Expected all tensors to be on the same device"


def repeatable_call(target: Callable[..., Any], args: Iterable[Any], inputs: Mapping[str, Any]) -> Callable[[], Any]:
    """Return a function that makes the same call each time.

    Using a generator changes its state, so each generator among the inputs is reset to its present state before every
    call.

    Args:
        target: the pipeline, module or callable.
        args: positional arguments of the call.
        inputs: keyword arguments of the call.

    Raises:
        PipelineError: the pipeline cannot generate images of the requested height or width.
    """
    positional, keywords = tuple(args), dict(inputs)
    require_divisible_sizes(target, keywords)
    states = [(generator, generator.get_state()) for generator in _generators([*positional, *keywords.values()])]

    def call() -> Any:
        __tracebackhide__ = True
        for generator, state in states:
            generator.set_state(state)
        with trace_not_captured(), call_of(target):
            return target(*positional, **keywords)

    return call


@contextmanager
def failures_noted(target: Any, concern: Concern, subject: Subject) -> Iterator[None]:
    """Add a note to any error that the pipeline raises: its denoise step, the measured concern and the subject.

    A layer that offload left on another device is named in a second note.
    """
    watch = watch_denoise_loop(target) if has_denoise_loop(target) else nullcontext()
    with watch as loop:
        try:
            yield
        except DiffoptError:
            raise  # its message already contains all of that
        except Exception as error:
            progress = f" {loop.progress()}" if loop else ""
            error.add_note(f"diffopt: raised{progress} while measuring {concern}, {subject}")
            for cause in layers_left_on_host(target) if _ON_TWO_DEVICES in str(error) else ():
                error.add_note(f"diffopt: {cause}")
            raise


def _generators(values: Iterable[Any]) -> Iterator[torch.Generator]:
    for value in values:
        if isinstance(value, torch.Generator):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _generators(value)
