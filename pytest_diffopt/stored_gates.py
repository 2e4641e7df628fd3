"""Latency, memory and counts against what was accepted: measure, judge, and accept where the user allowed it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pytest_diffopt.active_test import active_test
from pytest_diffopt.assertions import conclude
from pytest_diffopt.baselines import BaselineKey, BaselineStore, CountBaseline, LatencyBaseline, MemoryBaseline
from pytest_diffopt.cases import Case
from pytest_diffopt.environment import capture_environment, torch_device
from pytest_diffopt.guards.counts import judge_counts
from pytest_diffopt.guards.latency import judge_latency
from pytest_diffopt.guards.memory import judge_memory
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.options import Settings
from pytest_diffopt.records import Concern, Device, Environment, LatencyRecord, MemoryRecord, Subject

# A difference below these is the machine's noise, however large a share of a tiny call it is.
_LATENCY_FLOOR_NS = 1_000_000
_MEMORY_FLOOR_BYTES = 1_048_576
_DEFAULT_REASON = "accepted with --diffopt-update"


@dataclass(frozen=True, kw_only=True)
class LatencyGate:
    """What the `latency_baseline` fixture hands to a test.

    Attributes:
        case: the test.
        store: where baselines are.
        settings: what the user asked for.
        benchmark: returns pytest-benchmark's fixture, or None where that plugin is switched off.
    """

    case: Case
    store: BaselineStore
    settings: Settings
    benchmark: Callable[[], Any]

    def check(
        self, target: Any, /, *args: Any, margin: float | None = None, reason: str = _DEFAULT_REASON, **inputs: Any
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
        record = self._measure(target, args, inputs)
        environment = capture_environment(record.subject.device)
        key = _key(self.case, record.subject, environment)
        self.store.claim(key, nodeid=self.case.nodeid, concern=Concern.LATENCY)
        accepted = self.store.read(key, LatencyBaseline)
        verdict = self._judge(record, accepted, environment)
        if self.store.may_accept(key) and record.is_warm:  # what was still getting faster would be no tripwire
            document = self._document(record, accepted, verdict, environment, margin, reason)
            self.store.accept(key, document, nodeid=self.case.nodeid)
            verdict = self._judge(record, document, environment)
        conclude(record, verdict)

    def _measure(self, target: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> LatencyRecord:
        from pytest_diffopt.probes.latency import device_synchronizer, measure_latency  # noqa: PLC0415 - imports torch
        from pytest_diffopt.probes.pytest_benchmark_bridge import hand_over  # noqa: PLC0415 - as above

        subject = active_test().pipelines.life_of(target).subject
        call, steps = _counting_steps(target, args, inputs)
        record = measure_latency(
            call,
            synchronize=device_synchronizer(torch_device(subject.device)),
            subject=subject,
            max_seconds=self.settings.max_seconds,
        )
        benchmark = self.benchmark()
        if benchmark is not None:
            hand_over(benchmark, record.samples_ns)
        return replace(record, num_steps=steps())

    def _judge(self, record: LatencyRecord, accepted: LatencyBaseline | None, environment: Environment) -> Verdict:
        rerun = self.case.rerun_command(self.settings)
        return judge_latency(record, accepted, environment=environment, rerun=rerun)

    def _document(  # noqa: PLR0913, PLR0917 - a document is made of all of them
        self,
        record: LatencyRecord,
        accepted: LatencyBaseline | None,
        verdict: Verdict,
        environment: Environment,
        margin: float | None,
        reason: str,
    ) -> LatencyBaseline:
        """Add a session to a baseline that still holds; begin anew where there is none or it was left behind."""
        if accepted is not None and verdict.outcome is Outcome.PASSED:
            return accepted.with_session(record, environment=environment)
        return LatencyBaseline.from_record(
            record,
            case=self.case.name,
            environment=environment,
            margin=self.settings.margin if margin is None else margin,
            floor_ns=_LATENCY_FLOOR_NS,
            reason=reason,
        )


@dataclass(frozen=True, kw_only=True)
class MemoryGate:
    """What the `memory_baseline` fixture hands to a test.

    Attributes:
        case: the test.
        store: where baselines are.
        settings: what the user asked for.
    """

    case: Case
    store: BaselineStore
    settings: Settings

    def check(
        self, target: Any, /, *args: Any, margin: float | None = None, reason: str = _DEFAULT_REASON, **inputs: Any
    ) -> None:
        """Measure the peak memory of a warm call, and compare it with the accepted baseline of this test.

        With `--gpu` the real card's allocator tells; without it the simulated GPU counts.

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
        record = self._measure(target, args, inputs)
        environment = capture_environment(record.subject.device)
        key = _key(self.case, record.subject, environment)
        self.store.claim(key, nodeid=self.case.nodeid, concern=Concern.MEMORY)
        accepted = self.store.read(key, MemoryBaseline)
        if self.store.may_accept(key):
            accepted = MemoryBaseline.from_record(
                record,
                case=self.case.name,
                environment=environment,
                margin=self.settings.margin if margin is None else margin,
                floor_bytes=_MEMORY_FLOOR_BYTES,
                reason=reason,
            )
            self.store.accept(key, accepted, nodeid=self.case.nodeid)
        rerun = self.case.rerun_command(self.settings)
        conclude(record, judge_memory(record, accepted, environment=environment, rerun=rerun))

    def _measure(self, target: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> MemoryRecord:
        from pytest_diffopt.probes.calls import repeatable_call  # noqa: PLC0415 - imports torch
        from pytest_diffopt.probes.memory import (  # noqa: PLC0415 - imports torch
            measure_peak_memory_cuda,
            measure_peak_memory_simulated,
        )

        subject = active_test().pipelines.life_of(target).subject
        if self.settings.use_gpu:
            return measure_peak_memory_cuda(repeatable_call(target, args, inputs), subject)
        return measure_peak_memory_simulated(target, args, inputs, replace(subject, device=Device.SIMULATED))


@dataclass(frozen=True, kw_only=True)
class CountGate:
    """What the `count_baseline` fixture hands to a test.

    Attributes:
        case: the test.
        store: where baselines are.
        settings: what the user asked for.
    """

    case: Case
    store: BaselineStore
    settings: Settings

    def check(self, target: Any, /, *args: Any, reason: str = _DEFAULT_REASON, **inputs: Any) -> None:
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
        from pytest_diffopt.probes.counts import count_call  # noqa: PLC0415 - imports torch

        if self.settings.use_gpu:
            pytest.skip("counts are taken on the simulated GPU, by a run without --gpu")
        subject = replace(active_test().pipelines.life_of(target).subject, device=Device.SIMULATED)
        record = count_call(target, args, inputs, subject)
        environment = capture_environment(Device.SIMULATED)
        key = _key(self.case, subject, environment)
        self.store.claim(key, nodeid=self.case.nodeid, concern=Concern.COUNTS)
        accepted = self.store.read(key, CountBaseline)
        if self.store.may_accept(key):
            accepted = CountBaseline.from_record(record, case=self.case.name, environment=environment, reason=reason)
            self.store.accept(key, accepted, nodeid=self.case.nodeid)
        rerun = self.case.rerun_command(self.settings)
        conclude(record, judge_counts(record, accepted, environment=environment, rerun=rerun))


def _key(case: Case, subject: Subject, environment: Environment) -> BaselineKey:
    """Return where a test's baseline is on this machine."""
    return BaselineKey(device_slug=environment.device_slug, suite=case.suite, case=case.name, scale=subject.scale)


def _counting_steps(
    target: Any, args: tuple[Any, ...], inputs: dict[str, Any]
) -> tuple[Callable[[], Any], Callable[[], int]]:
    """Return the call, and how many denoise steps it has; they are counted in the first call, which warms up."""
    from pytest_diffopt.probes.calls import repeatable_call  # noqa: PLC0415 - imports torch
    from pytest_diffopt.probes.denoise_loop import has_denoise_loop, watch_denoise_loop  # noqa: PLC0415 - as above

    call = repeatable_call(target, args, inputs)
    counted: list[int] = []

    def counting_call() -> Any:
        if counted or not has_denoise_loop(target):
            return call()
        with watch_denoise_loop(target) as loop:
            output = call()
        counted.append(loop.num_steps)
        return output

    return counting_call, lambda: counted[0] if counted else 0
