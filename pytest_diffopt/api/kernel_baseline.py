"""`kernel_baseline`: what a call launches on the null GPU, exactly, against what was accepted."""

from dataclasses import dataclass
from typing import Any

from pytest_diffopt.api.baseline_gate import DEFAULT_REASON, BaselineGate, record_comparison
from pytest_diffopt.api.calls import call_arguments
from pytest_diffopt.api.kernels import counted_kernels, with_timeline
from pytest_diffopt.arguments import YES_OR_NO, require
from pytest_diffopt.baselines.documents import KernelBaseline
from pytest_diffopt.environment import with_inductor_variables
from pytest_diffopt.guards.kernels import judge_kernels
from pytest_diffopt.records import Environment, Subject


@dataclass(frozen=True, kw_only=True)
class KernelGate(BaselineGate):
    """What the `kernel_baseline` fixture returns."""

    def check(
        self, target: Any, /, *args: Any, reason: str = DEFAULT_REASON, timeline: bool = False, **inputs: Any
    ) -> None:
        """Count what a warm call launches on the null GPU and compare it exactly with what was accepted.

        The call is made until two in a row launch the same, at most six times.

        Args:
            target: a pipeline, module or function on the null GPU.
            *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords.
            reason: why a baseline that this run accepts is right.
            timeline: whether to make further calls that estimate host time and device time of each step, for the report
                and the table of a ladder. They are estimates, and never compared.
            **inputs: keywords of the call.

        Raises:
            ArgumentError: `timeline` is not true or false.
            BaselineError: the baseline cannot be trusted, or may not be written.
            ProbeError: the pipeline never entered its denoise loop.
        """
        __tracebackhide__ = True
        own = ("reason", "timeline")
        self._require("kernel_baseline", reason=reason)
        require(YES_OR_NO, timeline, "kernel_baseline.check(timeline=...)")
        arguments = call_arguments(target, args, inputs, asserted_by="kernel_baseline.check", own=own)
        record = counted_kernels(target, arguments)
        if timeline and record.is_watched:
            record = with_timeline(record, target, arguments)

        def renew(_accepted: KernelBaseline | None, environment: Environment) -> KernelBaseline | None:
            if not (record.is_watched and record.is_settled):  # without evidence there is nothing to accept
                return None
            return KernelBaseline.from_record(record, case=self.owner.name, environment=environment, reason=reason)

        self._settle(record_comparison(record, KernelBaseline, judge=judge_kernels, renew=renew))

    def _environment(self, subject: Subject) -> Environment:
        return with_inductor_variables(super()._environment(subject))
