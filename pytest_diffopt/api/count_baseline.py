"""`count_baseline`: what a call does on the simulated GPU, exactly, against what was accepted."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from pytest_diffopt.api.baseline_gate import DEFAULT_REASON, BaselineGate, record_comparison
from pytest_diffopt.api.calls import call_arguments
from pytest_diffopt.baselines.documents import CountBaseline
from pytest_diffopt.guards.counts import judge_counts
from pytest_diffopt.probes.counts import count_call
from pytest_diffopt.recipes.optimization import Stage
from pytest_diffopt.recipes.recipe import recipe_of
from pytest_diffopt.records import Device, Environment, OptimizationState
from pytest_diffopt.session.active_test import active_test


@dataclass(frozen=True, kw_only=True)
class CountGate(BaselineGate):
    """What the `count_baseline` fixture returns."""

    def check(self, target: Any, /, *args: Any, reason: str = DEFAULT_REASON, **inputs: Any) -> None:
        """Count what a call does on the simulated GPU and compare it exactly with what was accepted.

        Args:
            target: a pipeline, module or function, on the CPU or on torch's meta device.
            *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords.
            reason: why a baseline that this run accepts is right.
            **inputs: keywords of the call.

        Raises:
            BaselineError: the baseline cannot be trusted, or may not be written.
            ProbeError: the pipeline never entered its denoise loop.
        """
        __tracebackhide__ = True
        if self.settings.use_gpu:
            pytest.skip("counts are taken on the simulated GPU, by a run without --diffopt-gpu")
        self._require("count_baseline", reason=reason)
        arguments = call_arguments(target, args, inputs, asserted_by="count_baseline.check", own=("reason",))
        subject = replace(active_test().pipelines.subject_of(target), device=Device.SIMULATED)
        record = count_call(target, arguments.positional, arguments.keywords, subject)
        unapplied = _unapplied(target)

        def renew(_accepted: CountBaseline | None, environment: Environment) -> CountBaseline | None:
            if unapplied or not record.is_watched:  # without evidence there is nothing to accept
                return None
            return CountBaseline.from_record(record, case=self.owner.name, environment=environment, reason=reason)

        judge = partial(judge_counts, unapplied=unapplied)
        self._settle(record_comparison(record, CountBaseline, judge=judge, renew=renew))


def _unapplied(target: Any) -> list[OptimizationState]:
    """Return the optimizations of a pipeline's recipe that are not applied; a call with counts compiles nothing."""
    recipe = recipe_of(target)
    if recipe is None:
        return []
    states = zip(recipe.optimizations, recipe.verify(target), strict=True)
    return [state for optimization, state in states if optimization.stage < Stage.COMPILER and state.missing]
