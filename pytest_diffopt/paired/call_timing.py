"""`latency_baseline.check` in a worker of a paired session: warm the call up and time it for the controller."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from pytest_diffopt.api.calls import CallArguments, lifetime_of, plain_call
from pytest_diffopt.api.counts_elsewhere import count_elsewhere
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.paired.cpu_time import cpu_share, timed
from pytest_diffopt.paired.messages import Counted, Ready, Timed
from pytest_diffopt.paired.sampling import repeats_for
from pytest_diffopt.paired.worker import Controller
from pytest_diffopt.probes.counts import try_to_count
from pytest_diffopt.probes.denoise_loop import has_denoise_loop, watch_denoise_loop
from pytest_diffopt.probes.gpu_state import gpu_uuid
from pytest_diffopt.probes.host_time import timed_call
from pytest_diffopt.probes.latency import Stopwatch
from pytest_diffopt.probes.on_simulated_gpu import DEFAULT_GPU_MODEL
from pytest_diffopt.probes.timed_device import TimedDevice, timed_device
from pytest_diffopt.records import Device, Subject
from pytest_diffopt.session.settings import Settings

_NS_PER_SECOND = 1_000_000_000
#: The limit of the warm-up time, as a fraction of the sampling budget; it comes on top of that budget.
_WARMUP_SHARE = 0.25
#: From this number of calls per time on, an untimed call before them costs little and refills the caches.
_REFRESH_FROM = 4


@dataclass(frozen=True, kw_only=True)
class CallTimer:
    """Times a call for the controller.

    Attributes:
        controller: the connection to the controller.
        settings: the options of this run.
    """

    controller: Controller
    settings: Settings

    def serve(self, target: Any, arguments: CallArguments) -> None:
        """Warm the call up and time it whenever the controller requests it.

        Args:
            target: a pipeline, module or function.
            arguments: the arguments of the call.
        """
        subject = lifetime_of(target).subject
        device = timed_device(subject.device)
        with timed_call(plain_call(target, arguments)) as call:
            num_steps = _steps_of_first_call(target, call)
            stopwatch = Stopwatch(
                call=call, synchronize=device.synchronize, subject=subject, clock=time.perf_counter_ns
            )
            ready = self._warmed_up(stopwatch, device, subject, num_steps)
            with _frozen_objects():
                self.controller.serve(
                    ready,
                    time_calls=lambda repeats: _time(stopwatch.many(repeats), call, repeats),
                    count=lambda: _counted(target, arguments, subject),
                )

    def _warmed_up(self, stopwatch: Stopwatch, device: TimedDevice, subject: Subject, num_steps: int) -> Ready:
        warmup_ns = stopwatch.warm_up(self.settings.paired_max_seconds * _WARMUP_SHARE * _NS_PER_SECOND)
        own, foreign = self.controller.modules_of_trees()
        return Ready(
            subject=subject,
            environment=capture_environment(subject.device),
            warmup_ns=tuple(warmup_ns),
            num_steps=num_steps,
            num_threads=torch.get_num_threads() if subject.device is not Device.CUDA else 0,
            cpu_share=_share(stopwatch.many(repeats_for(warmup_ns)), subject),
            gpu_uuid="" if device.meter is None else gpu_uuid(device.torch_device),
            own_modules=own,
            foreign_modules=foreign,
        )


@contextmanager
def _frozen_objects() -> Iterator[None]:
    """Exclude all objects that exist now from garbage collection, which could otherwise run inside a timed call."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _time(stopwatch: Stopwatch, call: Callable[[], object], repeats: int) -> Timed:
    if repeats >= _REFRESH_FROM:
        call()
    return timed(stopwatch.time_ns)


def _share(stopwatch: Stopwatch, subject: Subject) -> float:
    return cpu_share(stopwatch.time_ns) if subject.device is not Device.CUDA else 0.0


def _steps_of_first_call(target: Any, call: Callable[[], object]) -> int:
    if not has_denoise_loop(target):
        call()
        return 0
    with watch_denoise_loop(target) as loop:
        call()
    return loop.num_steps


def _counted(target: Any, arguments: CallArguments, subject: Subject) -> Counted:
    if subject.device.is_gpu:
        record, why_not = count_elsewhere(subject, gpu_model=DEFAULT_GPU_MODEL)
    else:
        record, why_not = try_to_count(target, arguments.positional, arguments.keywords, subject)
    return Counted(record=record, why_not=why_not)
