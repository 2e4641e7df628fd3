"""Values of CUDA graphs: what was computed while a graph was captured is computed again at each replay."""

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from weakref import WeakKeyDictionary

import torch

from pytest_diffopt.null_gpu.values.active import active_engine, learning_work
from pytest_diffopt.null_gpu.values.dispatch_key import excluded
from pytest_diffopt.null_gpu.values.host_calls import HostCall

# The durations of a graph's nodes are learned while it is captured, and used at each replay.
_learning = ExitStack()
_tapes: WeakKeyDictionary[Any, list[HostCall]] = WeakKeyDictionary()


def install() -> None:
    """Have torch's CUDA graphs keep what they compute; may be called again."""
    graph: Any = torch.cuda.CUDAGraph
    if not hasattr(graph.replay, "__wrapped__"):
        graph.capture_begin = _starting_tape(graph.capture_begin)
        graph.capture_end = _ending_tape(graph.capture_end)
        graph.replay = _replaying(graph.replay)


def _starting_tape(capture_begin: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(capture_begin)
    def begin(graph: Any, *args: Any, **kwargs: Any) -> None:
        capture_begin(graph, *args, **kwargs)
        engine = active_engine()
        if engine is not None:
            engine.tape = []
            _learning.enter_context(learning_work())

    return begin


def _ending_tape(capture_end: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(capture_end)
    def end(graph: Any) -> None:
        engine = active_engine()
        tape = engine.tape if engine is not None else None
        if engine is not None:
            engine.tape = None
            _learning.close()
        capture_end(graph)
        if tape is not None:
            _tapes[graph] = tape

    return end


def _replaying(replay: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(replay)
    def replay_with_values(graph: Any) -> None:
        replay(graph)
        if active_engine() is not None:
            with excluded(), torch.no_grad():
                for call in _tapes.get(graph, ()):
                    call.run()

    return replay_with_values
