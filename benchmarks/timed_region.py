"""Measure what the plugin adds to a timed call: `python benchmarks/timed_region.py`.

The timed region contains the wrapper that makes calls repeatable (it resets generators) and the device synchronization.
Both are timed around an empty function, interleaved with the bare function, thousands of times. The overhead is far
below the variation of a tiny pipeline's times, so the pipeline is timed only to compute the overhead's share. Denoise
steps have no overhead: loops and steps are timed in separate calls.
"""

import statistics
import sys
import time
import warnings
from collections.abc import Callable

import torch

from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.probes.calls import repeatable_call
from pytest_diffopt.probes.latency import Stopwatch
from pytest_diffopt.probes.timed_device import device_synchronizer
from pytest_diffopt.records import Subject

_MOST_SHARE = 0.005
_ROUNDS = 5000
_CALLS = 15
_STEPS = 4


def main() -> int:
    """Print the overhead and the time of a tiny call; the exit code is 1 if the limit is exceeded."""
    added_ns = _added_ns()
    call_ns = _tiny_call_ns()
    share = added_ns / call_ns
    print(f"added to a timed call: {added_ns / 1e3:.1f} us")
    print(f"the tiny SDXL pipeline, {_STEPS} steps: {call_ns / 1e6:.1f} ms")
    print(f"share: {100 * share:.3f} % ({100 * _MOST_SHARE:g} % allowed)")
    return int(share > _MOST_SHARE)


def _added_ns() -> float:
    """Return the median paired difference between an empty call timed by the plugin and a bare empty call."""
    generator = torch.Generator().manual_seed(0)
    ours = _stopwatch(repeatable_call(lambda **_: None, (), {"generator": generator}))
    bare = _nothing
    differences = []
    for number in range(_ROUNDS):
        first = ours.time_ns() if number % 2 else _bare_ns(bare)
        second = _bare_ns(bare) if number % 2 else ours.time_ns()
        differences.append(first - second if number % 2 else second - first)
    return statistics.median(differences)


def _nothing(**_: object) -> None:
    """Do nothing."""


def _bare_ns(call: Callable[..., None]) -> int:
    start = time.perf_counter_ns()
    call(generator=None)
    return time.perf_counter_ns() - start


def _tiny_call_ns() -> float:
    """Return the median CPU time of a tiny call: wall-clock time on a busy machine would make the share too small."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = build_pipeline(find_pipeline("sdxl"), Scale.TINY).pipeline
    pipeline.set_progress_bar_config(disable=True)
    call = repeatable_call(pipeline, (), {"prompt": "a red circle", "num_inference_steps": _STEPS})
    call()
    times = []
    for _ in range(_CALLS):
        start = time.process_time_ns()
        call()
        times.append(time.process_time_ns() - start)
    return statistics.median(times)


def _stopwatch(call: Callable[[], object]) -> Stopwatch:
    return Stopwatch(
        call=call, synchronize=device_synchronizer("cpu"), subject=Subject(pipeline="empty"), clock=time.perf_counter_ns
    )


if __name__ == "__main__":
    sys.exit(main())
