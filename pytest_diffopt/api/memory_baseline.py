"""`memory_baseline`: the peak memory of a warm call, against the accepted baseline of this test."""

from dataclasses import dataclass
from typing import Any

from pytest_diffopt.api.baseline_gate import DEFAULT_REASON, BaselineGate, record_comparison
from pytest_diffopt.api.calls import CallArguments, call_arguments, on_watching_device, plain_call
from pytest_diffopt.baselines.documents import MemoryBaseline
from pytest_diffopt.guards.memory import judge_memory
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.probes import memory
from pytest_diffopt.records import Environment, MemoryRecord
from pytest_diffopt.session.active_test import active_test

# A smaller difference is noise of a GPU's allocator. 1 MiB alone would hide a third of a call that needs 3 MiB.
_LARGEST_FLOOR_BYTES = 1_048_576
_FLOOR_FRACTION = 0.01


@dataclass(frozen=True, kw_only=True)
class MemoryGate(BaselineGate):
    """What the `memory_baseline` fixture returns."""

    def check(
        self, target: Any, /, *args: Any, margin: float | None = None, reason: str = DEFAULT_REASON, **inputs: Any
    ) -> None:
        """Measure the peak memory of a warm call and compare it with the accepted baseline of this test.

        With `--diffopt-gpu` the real GPU's allocator is read; without it the simulated GPU counts.

        Args:
            target: a pipeline, module or function.
            *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords.
            margin: the allowed growth as a fraction, written into a baseline that this run accepts; by default
                `--diffopt-margin`.
            reason: why a baseline that this run accepts is right.
            **inputs: keywords of the call.

        Raises:
            BaselineError: the baseline cannot be trusted, or may not be written.
            ProbeError: memory ran out.
        """
        __tracebackhide__ = True
        own = ("margin", "reason")
        self._require("memory_baseline", reason=reason, margin=margin)
        arguments = call_arguments(target, args, inputs, asserted_by="memory_baseline.check", own=own)
        record = self._measure(target, arguments)

        def renew(_accepted: MemoryBaseline | None, environment: Environment) -> MemoryBaseline | None:
            if not record.is_watched:  # without evidence there is nothing to accept
                return None
            return MemoryBaseline.from_record(
                record,
                case=self.owner.name,
                environment=environment,
                margin=self._margin(margin),
                floor_bytes=_floor_bytes(record),
                reason=reason,
            )

        self._settle(record_comparison(record, MemoryBaseline, judge=judge_memory, renew=renew))

    def _measure(self, target: Any, arguments: CallArguments) -> MemoryRecord:
        __tracebackhide__ = True
        subject = on_watching_device(active_test().pipelines.lifetime_of(target).subject)
        if self.settings.use_gpu:
            used = (target, arguments.positional, arguments.keywords) if modules_of(target) else ()
            call = plain_call(target, arguments)
            return memory.measure_peak_memory_cuda(call, subject, target=target, used=used)
        return memory.measure_peak_memory_simulated(target, arguments.positional, arguments.keywords, subject)


def _floor_bytes(record: MemoryRecord) -> int:
    """Return the absolute growth that always passes: 1 % of the peak, at most 1 MiB."""
    return min(_LARGEST_FLOOR_BYTES, round(_FLOOR_FRACTION * record.peak_allocated_bytes))
