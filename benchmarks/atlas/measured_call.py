"""The call that is measured: that of diffusers' test, with enough steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.atlas.variations import with_steps
from benchmarks.diffusers_tests.cases import Case, seed


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredCall:
    """A pipeline of diffusers' tests, and whether it is called with more steps than they make.

    Attributes:
        case: builds the pipeline and its inputs.
        has_more_steps: whether the number of steps is raised, which some pipelines refuse.
    """

    case: Case
    has_more_steps: bool = False

    def build(self) -> tuple[Any, dict[str, Any]]:
        """Build the pipeline, and the keywords of its call."""
        pipeline = self.case.build()
        inputs = self.case.inputs()
        return pipeline, with_steps(pipeline, inputs) if self.has_more_steps else inputs

    def accepts(self, inputs: Mapping[str, Any]) -> bool:
        """Return whether a pipeline that is neither moved nor compiled can be called with these keywords."""
        pipeline, _inputs = self.build()
        seed()
        try:
            with torch.no_grad():
                pipeline(**inputs)
        except Exception:  # noqa: BLE001 - each pipeline refuses in its own way
            return False
        return True


def measured_call(case: Case) -> MeasuredCall:
    """Return the call with more steps, or that of the test where the pipeline refuses them."""
    more = MeasuredCall(case=case, has_more_steps=True)
    _pipeline, inputs = more.build()
    return more if more.accepts(inputs) else MeasuredCall(case=case)
