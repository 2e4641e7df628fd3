"""`effect_baseline`: what each optimization of a recipe did in a call, exactly, against what was accepted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pytest_diffopt.api.asked_recipe import recipe_for
from pytest_diffopt.api.baseline_gate import DEFAULT_REASON, BaselineGate, record_comparison
from pytest_diffopt.api.calls import call_arguments
from pytest_diffopt.api.effects import effects_of, require_names
from pytest_diffopt.baselines.effect_document import EffectBaseline
from pytest_diffopt.guards.effect_changes import judge_effect_changes
from pytest_diffopt.guards.effects import judge_effects
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.records import Device, Environment, Subject

_NAME = "effect_baseline.check"


@dataclass(frozen=True, kw_only=True)
class EffectGate(BaselineGate):
    """What the `effect_baseline` fixture returns."""

    def check(
        self,
        target: Any,
        /,
        *args: Any,
        reason: str = DEFAULT_REASON,
        allow_unseen: Sequence[str] = (),
        **inputs: Any,
    ) -> None:
        """Count what each optimization of the pipeline's recipe did, and compare it exactly with what was accepted.

        The call is that of `assert_optimizations_effective`, and an optimization without effect fails as there. Of a
        step cache, the steps that it computed and reused are compared, by cache context.

        Args:
            target: the pipeline.
            *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords.
            reason: why a baseline that this run accepts is right.
            allow_unseen: names of optimizations that are judged only where their effect can be seen.
            **inputs: keywords of the call.

        Raises:
            BaselineError: the baseline cannot be trusted, or may not be written.
            ProbeError: an argument has the wrong type, or the pipeline never entered its denoise loop.
            RecipeError: no recipe is applied or named by the marker.
        """
        __tracebackhide__ = True
        self._require("effect_baseline", reason=reason)
        arguments = call_arguments(target, args, inputs, asserted_by=_NAME, own=("reason", "allow_unseen"))
        require_names(allow_unseen, _NAME)
        record = effects_of(target, arguments, recipe_for(target, None))

        def renew(_accepted: EffectBaseline | None, environment: Environment) -> EffectBaseline | None:
            if judge_effects(record, allow_unseen=allow_unseen).outcome is not Outcome.PASSED:
                return None  # what has no effect is not accepted
            return EffectBaseline.from_record(record, case=self.owner.name, environment=environment, reason=reason)

        judge = partial(judge_effect_changes, allow_unseen=allow_unseen)
        self._settle(record_comparison(record, EffectBaseline, judge=judge, renew=renew))

    def _environment(self, subject: Subject) -> Environment:
        """Return one environment for all machines without a GPU: the counts are those of the modules that ran."""
        known = super()._environment(subject)
        if subject.device is not Device.CPU:
            return known
        return replace(known, device_slug="cpu", device_name="any machine, without a GPU")
