"""`compile_baseline`: what compilation produced, exactly, against what was accepted."""

from dataclasses import dataclass, replace
from typing import Any

from pytest_diffopt.api.baseline_gate import DEFAULT_REASON, BaselineGate, record_comparison
from pytest_diffopt.api.calls import CallArguments, call_arguments, lifetime_of, plain_call
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.baselines.documents import CompileBaseline
from pytest_diffopt.environment import with_inductor_variables
from pytest_diffopt.guards.compilation import judge_graph_breaks
from pytest_diffopt.guards.compile_counts import judge_compile_counts
from pytest_diffopt.probes.compilation import count_regions, watch_warmup
from pytest_diffopt.probes.compile_failures import refuse_when_switched_off
from pytest_diffopt.probes.graph_calls import count_graph_calls
from pytest_diffopt.records import CompilationRecord, Device, Environment, Subject
from pytest_diffopt.session.active_test import active_test


@dataclass(frozen=True, kw_only=True)
class CompileGate(BaselineGate):
    """What the `compile_baseline` fixture returns."""

    def check(self, target: Any, /, *args: Any, reason: str = DEFAULT_REASON, **inputs: Any) -> None:
        """Count graphs, breaks, guards and recompiles up to the end of the first call, and compare them exactly.

        Args:
            target: a pipeline, module or function with something compiled in it.
            *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords.
            reason: why a baseline that this run accepts is right.
            **inputs: keywords of the call.

        Raises:
            BaselineError: the baseline cannot be trusted, or may not be written.
            ProbeError: torch.compile is switched off.
        """
        __tracebackhide__ = True
        refuse_when_switched_off()
        self._require("compile_baseline", reason=reason)
        arguments = call_arguments(target, args, inputs, asserted_by="compile_baseline.check", own=("reason",))
        seen = _first_call(target, arguments)
        if seen.ended_by_fullgraph or not seen.frames:
            conclude(seen, judge_graph_breaks(seen))
        record = count_regions(seen)

        def renew(_accepted: CompileBaseline | None, environment: Environment) -> CompileBaseline | None:
            if not record.is_watched:  # without evidence there is nothing to accept
                return None
            return CompileBaseline.from_record(record, case=self.owner.name, environment=environment, reason=reason)

        self._settle(record_comparison(record, CompileBaseline, judge=judge_compile_counts, renew=renew))

    def _environment(self, subject: Subject) -> Environment:
        """Return one environment for all machines without a GPU: Dynamo traces alike on every CPU."""
        known = with_inductor_variables(super()._environment(subject))
        if subject.device is not Device.CPU:
            return known
        return replace(known, device_slug="traced", device_name="any machine, traced without a GPU")


def _first_call(target: Any, arguments: CallArguments) -> CompilationRecord:
    """Return what was compiled up to the end of the first call; what later calls compile depends on other tests.

    After the first call, one more is made: whether compiled code runs in it.
    """
    __tracebackhide__ = True
    pipelines, lifetime = active_test().pipelines, lifetime_of(target)
    log, call = pipelines.log_of(lifetime), plain_call(target, arguments)
    if lifetime.warm is not None:
        record = log.since(lifetime.start, lifetime.subject, until=lifetime.warm)
        return replace(record, graph_calls=count_graph_calls(call, log.namespaces))
    record = watch_warmup(log, lifetime.start, call, lifetime.subject)
    pipelines.note_warm(target)
    return record
