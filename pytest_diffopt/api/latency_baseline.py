"""`latency_baseline`: how long a call takes, against the accepted baseline of this test on this machine."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pytest_diffopt.api.baseline_gate import DEFAULT_REASON, BaselineGate, record_comparison
from pytest_diffopt.api.calls import CallArguments, call_arguments, plain_call
from pytest_diffopt.api.counts_elsewhere import answer_if_requested, count_elsewhere
from pytest_diffopt.baselines.documents import LatencyBaseline
from pytest_diffopt.guards.latency import is_fit_for_baseline, judge_latency
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.probes.counts import try_to_count
from pytest_diffopt.probes.host_time import timed_call
from pytest_diffopt.probes.latency import measure_latency
from pytest_diffopt.probes.loop_times import time_loops
from pytest_diffopt.probes.on_simulated_gpu import DEFAULT_GPU_MODEL
from pytest_diffopt.probes.pytest_benchmark_bridge import replay_samples
from pytest_diffopt.probes.timed_device import timed_device
from pytest_diffopt.records import Environment, LatencyRecord, Subject
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.simulated_gpu import gpu_model_by_cuda_name

# A smaller difference is machine noise, however large a fraction of a tiny call it is.
_LATENCY_FLOOR_NS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class LatencyGate(BaselineGate):
    """What the `latency_baseline` fixture returns.

    Attributes:
        benchmark: returns pytest-benchmark's fixture, or None where that plugin is switched off.
        serve_pair: in a worker of a paired session (`--diffopt-against`, `--diffopt-calibrate`): times the call for the
            controller, which compares; None in every other session.
    """

    benchmark: Callable[[], Any]
    serve_pair: Callable[[Any, CallArguments], None] | None = None

    def check(
        self, target: Any, /, *args: Any, margin: float | None = None, reason: str = DEFAULT_REASON, **inputs: Any
    ) -> None:
        """Time the call and compare it with the accepted baseline of this test on this machine.

        Args:
            target: a pipeline, module or function.
            *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords.
            margin: the allowed slowdown as a fraction, written into a baseline that this run accepts; by default
                `--diffopt-margin`. A paired session has its own margin.
            reason: why a baseline that this run accepts is right.
            **inputs: keywords of the call.

        Raises:
            BaselineError: the baseline cannot be trusted, or may not be written.
            ProbeError: the clock cannot be trusted, or memory ran out.
        """
        __tracebackhide__ = True
        own = ("margin", "reason")
        self._require("latency_baseline", reason=reason, margin=margin)
        arguments = call_arguments(target, args, inputs, asserted_by="latency_baseline.check", own=own)
        answer_if_requested(target, arguments, active_test().pipelines.lifetime_of(target).subject)
        if self.serve_pair is not None:
            self.serve_pair(target, arguments)
            return
        record = self._measure(target, arguments)

        def renew(accepted: LatencyBaseline | None, environment: Environment) -> LatencyBaseline | None:
            if not is_fit_for_baseline(record):
                return None
            if accepted is not None and _is_one_more_session(record, accepted, environment):
                return accepted.with_session(record, environment=environment)
            return LatencyBaseline.from_record(
                record,
                case=self.owner.name,
                environment=environment,
                margin=self._margin(margin),
                floor_ns=_LATENCY_FLOOR_NS,
                reason=reason,
            )

        self._settle(record_comparison(record, LatencyBaseline, judge=judge_latency, renew=renew))

    def _measure(self, target: Any, arguments: CallArguments) -> LatencyRecord:
        __tracebackhide__ = True
        test = active_test()
        lifetime = test.pipelines.lifetime_of(target)
        device = timed_device(lifetime.subject.device)
        with timed_call(plain_call(target, arguments)) as call:
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
            self._with_counts(record, target, arguments),
            num_steps=loops[0].num_steps if loops else 0,
            first_call_ns=lifetime.first_call_ns,
            compile_ns=lifetime.compile_ns,
            loops_ns=tuple(loop.loop_ns for loop in loops),
            steps_ns=tuple(loop.steps_ns for loop in loops if loop.steps_ns),
        )

    def _with_counts(self, record: LatencyRecord, target: Any, arguments: CallArguments) -> LatencyRecord:
        """Count what the call does: how close to the GPU's peaks it runs, and later why it became slower."""
        if not modules_of(target):  # a bare function: it has nothing that can be moved to the simulated GPU
            return record
        active_test().progress("counting on the simulated GPU")
        # the null GPU has the name of the GPU that it stands in for
        name = self._environment(record.subject).device_name.removeprefix("null ")
        here = gpu_model_by_cuda_name(name)
        gpu_model = here.name if here else DEFAULT_GPU_MODEL
        if not record.subject.device.is_gpu:
            call = (target, arguments.positional, arguments.keywords)
            counts, why_not = try_to_count(*call, record.subject, gpu_model=gpu_model)
        elif here or self._are_counts_compared(record.subject):
            counts, why_not = count_elsewhere(record.subject, gpu_model=gpu_model)
        else:
            return record
        return replace(
            record,
            counts=counts,
            why_not_counted=why_not,
            roofline_ns=counts.least_ns if counts is not None and here else 0.0,
        )

    def _are_counts_compared(self, subject: Subject) -> bool:
        """Return whether counts are stored or may be: another process takes them, which takes seconds."""
        key = self._key(subject)
        return self.store.can_accept(key) or self.store.read(key, LatencyBaseline) is not None


def _is_one_more_session(record: LatencyRecord, accepted: LatencyBaseline, environment: Environment) -> bool:
    """Return whether the record is another session of what was accepted, and not a changed call."""
    return judge_latency(record, accepted, environment=environment, rerun="").outcome is Outcome.PASSED
