"""Inject a fault and run every guard, after every guard passed on the clean pipeline."""

import gc
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from benchmarks.injected_faults.declaring import InjectedFault, Injection
from benchmarks.injected_faults.guarding import CheckOutcome, CheckResult, Guard, Subject, recompiled, run_check
from benchmarks.injected_faults.slices import RAISED, SliceCheck, check_slice
from pytest_diffopt import AllowedSyncs, CountGate, ImageGate, LatencyGate, PipelineInputs, Scale
from pytest_diffopt.baselines.store import BaselineStore
from pytest_diffopt.baselines.write_permission import WritePermission
from pytest_diffopt.errors import DiffoptError, RecipeWarning
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.records import Device, Weights
from pytest_diffopt.records import Subject as Watched
from pytest_diffopt.session.active_test import ActiveTest, running
from pytest_diffopt.session.baseline_owner import BaselineOwner
from pytest_diffopt.session.settings import Settings
from suites.known_syncs import DDIM, FLOW_MATCH_EULER, PNDM

#: Known syncs of the published schedulers; not used for a recipe that replaces the scheduler.
_KNOWN_SYNCS = {
    "sd15": PNDM,
    "sd15-img2img": PNDM,
    "sd15-controlnet": PNDM,
    "sd15-inpaint": DDIM,
    "sd3": FLOW_MATCH_EULER,
}
_LATENCY_SECONDS = 20.0  # with a garbage collection in every step a call takes seconds


class NotCleanError(DiffoptError):
    """A guard fails on the clean pipeline, before an injection."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageEffect:
    """The effect of a fault on the image.

    Attributes:
        is_changed: whether any value differs from the clean pipeline's image.
        usual_check: results of diffusers' own checks.
    """

    is_changed: bool
    usual_check: SliceCheck


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """The results of one fault.

    Attributes:
        fault: the fault.
        checks: result of each guard.
        image: effect on the image.
    """

    fault: InjectedFault
    checks: tuple[CheckResult, ...]
    image: ImageEffect

    @property
    def caught_by(self) -> tuple[Guard, ...]:
        """Guards whose tests would fail."""
        return tuple(check.guard for check in self.checks if check.is_caught)


@dataclass(frozen=True, kw_only=True)
class CleanPipeline:
    """A clean optimized pipeline and its images.

    Attributes:
        subject: the pipeline, with the objects that its checks use.
        drawn: images, as an array of shape (number, height, width, channels).
    """

    subject: Subject
    drawn: Any


class TrialRunner:
    """Runs trials; consecutive faults of one pipeline, recipe and call share the clean pipeline."""

    def __init__(self, folder: Path) -> None:
        """Set the folder for the baselines of the clean pipelines."""
        self._folder = folder
        self._settings = Settings(max_seconds=_LATENCY_SECONDS)
        self._test = ActiveTest(settings=self._settings)
        self._key: tuple[str, ...] = ()
        self._clean: CleanPipeline | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Register as the running test, which the assertions need."""
        self._stack.enter_context(running(self._test))
        self._stack.callback(self._test.pipelines.close)
        self._stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", RecipeWarning)  # int8 without compile is intended here
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release the pipelines."""
        self._clean = None
        self._stack.close()

    def run(self, fault: InjectedFault) -> Trial:
        """Run every guard with the fault, injected separately for each group of guards.

        Raises:
            NotCleanError: a guard fails without the fault.
        """
        clean = self._clean_for(fault)
        image = _image_effect(fault, clean)
        checks = [check for group in self._check_results(fault, clean.subject, fault.inject) for check in group]
        return Trial(fault=fault, checks=tuple(checks), image=image)

    def _check_results(self, fault: InjectedFault, subject: Subject, inject: Injection) -> Iterator[list[CheckResult]]:
        """Run each group of guards with a separate injection, as if the pipeline had been built with the fault."""
        pipelines = self._test.pipelines
        for checks in subject.check_groups():
            with recompiled(subject), inject(subject.pipeline):
                pipelines.register(subject.pipeline, _watched(fault), pipelines.log.mark())
                yield [run_check(guard, check) for guard, check in checks]

    def _clean_for(self, fault: InjectedFault) -> CleanPipeline:
        key = (fault.pipeline, fault.recipe, repr(sorted(fault.inputs.items())), str(fault.is_timed))
        if self._clean is None or self._key != key:
            self._clean = None
            gc.collect()
            self._clean = self._built(fault)
            self._key = key
        return self._clean

    def _built(self, fault: InjectedFault) -> CleanPipeline:
        family = find_pipeline(fault.pipeline)
        recipe = parse_recipe(fault.recipe)
        reference = recipe.reference().apply(build_pipeline(family, Scale.TINY).pipeline)
        pipeline = recipe.apply(build_pipeline(family, Scale.TINY).pipeline)
        inputs = family.inputs(Scale.TINY).varied("", **fault.inputs)
        variations = family.variations(Scale.TINY)
        fixtures = {"reference_pipeline": reference, "pipeline_variations": variations}
        subject = Subject(
            pipeline=pipeline,
            reference=reference,
            inputs=inputs,
            variations=variations,
            images=ImageGate(fixture=fixtures.get, **self._gate(fault, "images")),
            own_images=ImageGate(fixture={"pipeline_variations": variations}.get, **self._gate(fault, "own images")),
            counts=CountGate(**self._gate(fault, "counts")),
            latency=LatencyGate(benchmark=lambda: None, **self._gate(fault, "latency")) if fault.is_timed else None,
            allow_syncs=(*_syncs_of_scheduler(fault), *fault.allow_syncs),
        )
        self._require_clean(fault, subject)
        with recompiled(subject):
            return CleanPipeline(subject=subject, drawn=_draw(pipeline, inputs))

    def _gate(self, fault: InjectedFault, concern: str) -> dict[str, Any]:
        name = f"{concern}[{fault.name}]"
        store = BaselineStore(self._folder, WritePermission.MISSING)
        owner = BaselineOwner(nodeid=name, suite="injected", name=name)
        return {"owner": owner, "store": store, "settings": self._settings}

    def _require_clean(self, fault: InjectedFault, subject: Subject) -> None:
        """Run every guard on the clean pipeline; the baselines are accepted here."""
        for checks in self._check_results(fault, subject, lambda _pipeline: nullcontext()):
            for check in checks:
                if check.outcome is not CheckOutcome.PASSED:
                    where = f"{fault.pipeline} with {fault.recipe}"
                    msg = f"{check.guard} must pass before {fault.name} is injected into {where}, got: {check.headline}"
                    raise NotCleanError(msg)


def _image_effect(fault: InjectedFault, clean: CleanPipeline) -> ImageEffect:
    """Generate the image in the first call after the injection, and compare it with the clean image."""
    subject = clean.subject
    try:
        with recompiled(subject), fault.inject(subject.pipeline):
            drawn = _draw(subject.pipeline, subject.inputs)
    except Exception:  # noqa: BLE001 - any error of a broken pipeline fails its test, in diffusers too
        return ImageEffect(is_changed=True, usual_check=RAISED)
    is_changed = not np.array_equal(drawn, clean.drawn)
    return ImageEffect(is_changed=is_changed, usual_check=check_slice(drawn, clean.drawn))


def _syncs_of_scheduler(fault: InjectedFault) -> Sequence[AllowedSyncs]:
    return () if "scheduler(" in fault.recipe else _KNOWN_SYNCS.get(fault.pipeline, ())


def _draw(pipeline: Any, inputs: PipelineInputs) -> Any:
    return np.array(pipeline(**inputs).images)


def _watched(fault: InjectedFault) -> Watched:
    return Watched(
        pipeline=fault.pipeline, scale=Scale.TINY, recipe=fault.recipe, weights=Weights.PRETRAINED, device=Device.CPU
    )
