"""What compiling came to, against what was accepted: watch, judge, and accept where the user allowed it."""

from dataclasses import dataclass, replace
from typing import Any

from pytest_diffopt.api.assertions import conclude
from pytest_diffopt.api.stored_gates import DEFAULT_REASON, StoredGate
from pytest_diffopt.baselines import CompileBaseline
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.guards.compilation import judge_graph_breaks
from pytest_diffopt.guards.compile_counts import judge_compile_counts
from pytest_diffopt.records import CompilationRecord, Device, Environment, Subject
from pytest_diffopt.session.active_test import active_test


@dataclass(frozen=True, kw_only=True)
class CompileGate(StoredGate):
    """What the `compile_baseline` fixture hands to a test."""

    def check(self, target: Any, /, *args: Any, reason: str = DEFAULT_REASON, **inputs: Any) -> None:
        """Count what compiling the pipeline came to, up to the end of its first call, and compare it exactly.

        Args:
            target: a pipeline, module or function with something compiled in it.
            *args: with `inputs`, the call; it is made when nobody has called the pipeline yet.
            reason: why a baseline that this run accepts is right.
            **inputs: keywords of the call.

        Raises:
            BaselineError: the baseline cannot be trusted, or may not be written.
            ProbeError: torch.compile is switched off, or nothing was compiled.
        """
        __tracebackhide__ = True
        from pytest_diffopt.probes.compilation import count_regions  # noqa: PLC0415 - imports torch
        from pytest_diffopt.probes.compile_failures import refuse_when_switched_off  # noqa: PLC0415 - as above

        refuse_when_switched_off()
        seen = self._watch(target, args, inputs)
        if seen.ended_by_fullgraph or not seen.frames:
            conclude(seen, judge_graph_breaks(seen))
        record = count_regions(seen)

        def renew(_accepted: CompileBaseline | None, environment: Environment) -> CompileBaseline:
            return CompileBaseline.from_record(record, case=self.case.name, environment=environment, reason=reason)

        self._settle(record, CompileBaseline, judge_compile_counts, renew)

    @staticmethod
    def _watch(target: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> CompilationRecord:
        """Return what was compiled up to the end of the first call; later ones compile as other tests let them."""
        __tracebackhide__ = True
        from pytest_diffopt.probes.calls import repeatable_call  # noqa: PLC0415 - imports torch
        from pytest_diffopt.probes.compilation import watch_warmup  # noqa: PLC0415 - as above

        test = active_test()
        pipelines = test.pipelines
        lifetime = pipelines.lifetime_of(target, recipe=test.recipe_text)
        if lifetime.warm is not None:
            return pipelines.log.since(lifetime.start, lifetime.subject, until=lifetime.warm)
        record = watch_warmup(pipelines.log, lifetime.start, repeatable_call(target, args, inputs), lifetime.subject)
        pipelines.note_warm(target)
        return record

    def _environment(self, subject: Subject) -> Environment:
        """Without a GPU nothing depends on the machine: Dynamo traces alike on every processor."""
        known = capture_environment(subject.device)
        if subject.device is not Device.CPU:
            return known
        return replace(known, device_slug="traced", device_name="any machine, traced without a GPU")
