"""Latency, memory and counts against what was accepted: measure, judge, and accept where the user allowed it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from pytest_diffopt.api.assertions import conclude
from pytest_diffopt.baselines import (
    Baseline,
    BaselineKey,
    BaselineStore,
    CountBaseline,
    LatencyBaseline,
    MemoryBaseline,
)
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.guards.counts import judge_counts
from pytest_diffopt.guards.latency import is_fit_for_baseline, judge_latency
from pytest_diffopt.guards.memory import judge_memory
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import (
    CompileCountRecord,
    CountRecord,
    Device,
    Environment,
    LatencyRecord,
    MemoryRecord,
    Subject,
)
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.baseline_owner import Case
from pytest_diffopt.session.settings import Settings

# A difference below these is the machine's noise, however large a share of a tiny call it is.
_LATENCY_FLOOR_NS = 1_000_000
_MEMORY_FLOOR_BYTES = 1_048_576
#: Why a baseline is right, when the test does not say.
DEFAULT_REASON = "accepted with --diffopt-update"

_Document = TypeVar("_Document", bound=Baseline)


@dataclass(frozen=True, kw_only=True)
class StoredGate:
    """What every gate with a stored baseline has.

    Attributes:
        case: the test.
        store: where baselines are.
        settings: what the user asked for.
    """

    case: Case
    store: BaselineStore
    settings: Settings

    def _settle(
        self,
        record: LatencyRecord | MemoryRecord | CountRecord | CompileCountRecord,
        document_type: type[_Document],
        judge: Callable[..., Verdict],
        renew: Callable[[_Document | None, Environment], _Document | None],
    ) -> None:
        """Judge a record, after accepting it where this run may.

        Args:
            record: what was seen.
            document_type: the kind of document that its baseline is.
            judge: the guard.
            renew: makes the document to accept from the one that was accepted; None when the record is not fit for one.
        """
        environment = self._environment(record.subject)
        key = BaselineKey(
            device_slug=environment.device_slug,
            suite=self.case.suite,
            case=self.case.name,
            scale=record.subject.scale,
        )
        self.store.claim(key, nodeid=self.case.nodeid, concern=document_type.concern)
        accepted = self.store.read(key, document_type)
        renewed = renew(accepted, environment) if self.store.can_accept(key) else None
        if renewed is not None:
            self.store.accept(key, renewed, nodeid=self.case.nodeid)
        rerun = self.case.rerun_command(self.settings)
        conclude(record, judge(record, renewed or accepted, environment=environment, rerun=rerun))

    def _environment(self, subject: Subject) -> Environment:
        return capture_environment(subject.device)

    def _margin(self, margin: float | None) -> float:
        return self.settings.margin if margin is None else margin


@dataclass(frozen=True, kw_only=True)
class LatencyGate(StoredGate):
    """What the `latency_baseline` fixture hands to a test.

    Attributes:
        benchmark: returns pytest-benchmark's fixture, or None where that plugin is switched off.
    """

    benchmark: Callable[[], Any]

    def check(
        self, target: Any, /, *args: Any, margin: float | None = None, reason: str = DEFAULT_REASON, **inputs: Any
    ) -> None:
        """Time the call, and compare it with the accepted baseline of this test on this machine.

        Args:
            target: a pipeline, module or function.
            *args: with `inputs`, the call.
            margin: the slowdown that is allowed, as a fraction, written into a baseline that this run accepts; by
                default `--diffopt-margin`.
            reason: why a baseline that this run accepts is right.
            **inputs: keywords of the call.

        Raises:
            BaselineError: the baseline cannot be trusted, or may not be written.
            ProbeError: the clock cannot be trusted, or memory ran out.
        """
        __tracebackhide__ = True
        record = self._measure(target, args, inputs)

        def renew(accepted: LatencyBaseline | None, environment: Environment) -> LatencyBaseline | None:
            if not is_fit_for_baseline(record):
                return None
            if accepted is not None and self._still_holds(record, accepted, environment):
                return accepted.with_session(record, environment=environment)
            return LatencyBaseline.from_record(
                record,
                case=self.case.name,
                environment=environment,
                margin=self._margin(margin),
                floor_ns=_LATENCY_FLOOR_NS,
                reason=reason,
            )

        self._settle(record, LatencyBaseline, judge_latency, renew)

    @staticmethod
    def _still_holds(record: LatencyRecord, accepted: LatencyBaseline, environment: Environment) -> bool:
        """Tell whether the record is one more session of what was accepted, and not something new."""
        return judge_latency(record, accepted, environment=environment, rerun="").outcome is Outcome.PASSED

    def _measure(self, target: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> LatencyRecord:
        __tracebackhide__ = True
        from pytest_diffopt.probes.calls import repeatable_call  # noqa: PLC0415 - imports torch
        from pytest_diffopt.probes.latency import measure_latency  # noqa: PLC0415 - as above
        from pytest_diffopt.probes.loop_times import time_loops  # noqa: PLC0415 - as above
        from pytest_diffopt.probes.pytest_benchmark_bridge import replay_samples  # noqa: PLC0415 - as above
        from pytest_diffopt.probes.timed_device import timed_device  # noqa: PLC0415 - as above

        test = active_test()
        lifetime = test.pipelines.lifetime_of(target)
        device = timed_device(lifetime.subject.device)
        call = repeatable_call(target, args, inputs)
        record = measure_latency(
            call,
            synchronize=device.synchronize,
            subject=lifetime.subject,
            max_seconds=self.settings.max_seconds,
            meter=device.meter,
            progress=test.progress,
        )
        benchmark = self.benchmark()
        if benchmark is not None and record.samples_ns:
            replay_samples(benchmark, record.samples_ns)
        test.progress("timing the denoise loop")
        loops = time_loops(target, call, device=device, each_step=self.settings.time_steps)
        return replace(
            self._with_counts(record, target, args, inputs),
            num_steps=loops[0].num_steps if loops else 0,
            first_call_ns=lifetime.first_call_ns,
            compile_ns=lifetime.compile_ns,
            loops_ns=tuple(loop.loop_ns for loop in loops),
            steps_ns=tuple(loop.steps_ns for loop in loops if loop.steps_ns),
        )

    def _with_counts(
        self, record: LatencyRecord, target: Any, args: tuple[Any, ...], inputs: dict[str, Any]
    ) -> LatencyRecord:
        """Count what the call does, which says how much of the GPU it uses, and later why it became slower."""
        from pytest_diffopt.pipelines.components import modules_of  # noqa: PLC0415 - imports torch
        from pytest_diffopt.probes.counts import try_to_count  # noqa: PLC0415 - as above
        from pytest_diffopt.probes.on_simulated_gpu import DEFAULT_GPU_MODEL  # noqa: PLC0415 - as above
        from pytest_diffopt.simulated_gpu import gpu_model_by_cuda_name  # noqa: PLC0415 - as above

        if not modules_of(target):  # a bare callable: nothing of it can be moved to the simulated GPU
            return record
        active_test().progress("counting on the simulated GPU")
        here = gpu_model_by_cuda_name(self._environment(record.subject).device_name)
        counts, why_not = try_to_count(
            target, args, inputs, record.subject, gpu_model=here.name if here else DEFAULT_GPU_MODEL
        )
        return replace(
            record,
            counts=counts,
            why_not_counted=why_not,
            roofline_ns=counts.least_ns if counts is not None and here else 0.0,
        )


@dataclass(frozen=True, kw_only=True)
class MemoryGate(StoredGate):
    """What the `memory_baseline` fixture hands to a test."""

    def check(
        self, target: Any, /, *args: Any, margin: float | None = None, reason: str = DEFAULT_REASON, **inputs: Any
    ) -> None:
        """Measure the peak memory of a warm call, and compare it with the accepted baseline of this test.

        With `--gpu` the real GPU's allocator tells; without it the simulated GPU counts.

        Args:
            target: a pipeline, module or function.
            *args: with `inputs`, the call.
            margin: the growth that is allowed, as a fraction, written into a baseline that this run accepts; by default
                `--diffopt-margin`.
            reason: why a baseline that this run accepts is right.
            **inputs: keywords of the call.

        Raises:
            BaselineError: the baseline cannot be trusted, or may not be written.
            ProbeError: memory ran out.
        """
        __tracebackhide__ = True
        record = self._measure(target, args, inputs)

        def renew(_accepted: MemoryBaseline | None, environment: Environment) -> MemoryBaseline:
            return MemoryBaseline.from_record(
                record,
                case=self.case.name,
                environment=environment,
                margin=self._margin(margin),
                floor_bytes=_MEMORY_FLOOR_BYTES,
                reason=reason,
            )

        self._settle(record, MemoryBaseline, judge_memory, renew)

    def _measure(self, target: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> MemoryRecord:
        __tracebackhide__ = True
        from pytest_diffopt.probes import memory  # noqa: PLC0415 - imports torch
        from pytest_diffopt.probes.calls import repeatable_call  # noqa: PLC0415 - imports torch

        subject = active_test().pipelines.lifetime_of(target).subject
        if self.settings.use_gpu:
            return memory.measure_peak_memory_cuda(repeatable_call(target, args, inputs), subject)
        return memory.measure_peak_memory_simulated(target, args, inputs, _simulated(subject))


@dataclass(frozen=True, kw_only=True)
class CountGate(StoredGate):
    """What the `count_baseline` fixture hands to a test."""

    def check(self, target: Any, /, *args: Any, reason: str = DEFAULT_REASON, **inputs: Any) -> None:
        """Count what a call does on the simulated GPU, and compare it exactly with what was accepted.

        Args:
            target: a pipeline, module or function, on the CPU or on torch's meta device.
            *args: with `inputs`, the call.
            reason: why a baseline that this run accepts is right.
            **inputs: keywords of the call.

        Raises:
            BaselineError: the baseline cannot be trusted, or may not be written.
            ProbeError: the pipeline never entered its denoise loop.
        """
        __tracebackhide__ = True
        from pytest_diffopt.probes.counts import count_call  # noqa: PLC0415 - imports torch

        if self.settings.use_gpu:
            pytest.skip("counts are taken on the simulated GPU, by a run without --gpu")
        record = count_call(target, args, inputs, _simulated(active_test().pipelines.lifetime_of(target).subject))

        def renew(_accepted: CountBaseline | None, environment: Environment) -> CountBaseline:
            return CountBaseline.from_record(record, case=self.case.name, environment=environment, reason=reason)

        self._settle(record, CountBaseline, judge_counts, renew)


def _simulated(subject: Subject) -> Subject:
    return replace(subject, device=Device.SIMULATED)
