"""What the `latency_baseline` fixture is in a worker: it warms the call up, and times it for the controller."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_diffopt.environment import capture_environment
from pytest_diffopt.paired.cpu_time import cpu_share, timed
from pytest_diffopt.paired.messages import Counted, Ready, Timed
from pytest_diffopt.paired.sampling import repeats_for
from pytest_diffopt.paired.worker import Controller, modules_of_trees
from pytest_diffopt.records import Device, Subject
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.settings import Settings

_NS_PER_SECOND = 1_000_000_000
#: The share of the sampling budget that warm-up may use beside it.
_WARMUP_SHARE = 0.25
#: From so many calls in a row on, one more before them costs little and brings the caches back.
_REFRESH_FROM = 4


@dataclass(frozen=True, kw_only=True)
class PairedGate:
    """Times a call for the controller.

    Attributes:
        controller: who asks.
        settings: what the user asked for.
    """

    controller: Controller
    settings: Settings

    def check(self, target: Any, /, *args: Any, margin: float | None = None, reason: str = "", **inputs: Any) -> None:
        """Warm the call up, and time it for as long as the controller wants.

        Args:
            target: a pipeline, module or function.
            *args: with `inputs`, the call.
            margin: of the stored gate; the paired one has its own.
            reason: of the stored gate.
            **inputs: keywords of the call.
        """
        del margin, reason
        from pytest_diffopt.probes.calls import repeatable_call  # noqa: PLC0415 - imports torch
        from pytest_diffopt.probes.gpu_state import gpu_uuid  # noqa: PLC0415 - as above
        from pytest_diffopt.probes.latency import Stopwatch  # noqa: PLC0415 - as above
        from pytest_diffopt.probes.timed_device import timed_device  # noqa: PLC0415 - as above

        subject = active_test().pipelines.lifetime_of(target, recipe=active_test().recipe_text).subject
        device = timed_device(subject.device)
        call = repeatable_call(target, args, inputs)
        num_steps = _steps_of_first_call(target, call)
        stopwatch = Stopwatch(call=call, synchronize=device.synchronize, subject=subject, clock=time.perf_counter_ns)
        warmup_ns = stopwatch.warm_up(self.settings.paired_max_seconds * _WARMUP_SHARE * _NS_PER_SECOND)
        own, foreign = modules_of_trees()
        ready = Ready(
            subject=subject,
            environment=capture_environment(subject.device),
            warmup_ns=tuple(warmup_ns),
            num_steps=num_steps,
            num_threads=_num_threads(subject),
            cpu_share=_share(stopwatch.many(repeats_for(warmup_ns)), subject),
            gpu_uuid="" if device.meter is None else gpu_uuid(device.torch_device),
            own_modules=own,
            foreign_modules=foreign,
        )
        # What was made so far lives on: the collector need not look at it in the middle of a timed call.
        gc.collect()
        gc.freeze()
        try:
            self.controller.serve(
                ready,
                time_calls=lambda repeats: _time(stopwatch.many(repeats), call, repeats),
                count=lambda: _counted(target, args, inputs, subject),
            )
        finally:
            gc.unfreeze()


def _time(stopwatch: Any, call: Callable[[], object], repeats: int) -> Timed:
    if repeats >= _REFRESH_FROM:
        call()
    return timed(stopwatch.time_ns)


def _share(stopwatch: Any, subject: Subject) -> float:
    return cpu_share(stopwatch.time_ns) if subject.device is Device.CPU else 0.0


def _steps_of_first_call(target: Any, call: Callable[[], object]) -> int:
    from pytest_diffopt.probes.denoise_loop import has_denoise_loop, watch_denoise_loop  # noqa: PLC0415 - for torch

    if not has_denoise_loop(target):
        call()
        return 0
    with watch_denoise_loop(target) as loop:
        call()
    return loop.num_steps


def _num_threads(subject: Subject) -> int:
    import torch  # noqa: PLC0415 - only where something is timed

    return torch.get_num_threads() if subject.device is Device.CPU else 0


def _counted(target: Any, args: tuple[Any, ...], inputs: dict[str, Any], subject: Subject) -> Counted:
    from pytest_diffopt.probes.counts import try_to_count  # noqa: PLC0415 - imports torch

    record, why_not = try_to_count(target, args, inputs, subject)
    return Counted(record=record, why_not=why_not)
