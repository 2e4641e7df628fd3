"""Planting a bug and asking every guard, after the clean pipeline turned none of them red."""

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
from benchmarks.injected_faults.guarding import Answer, Color, Guard, Subject, ask, recompiled
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

#: Where the published scheduler waits; a recipe that brings another one has no such excuse.
_KNOWN_SYNCS = {
    "sd15": PNDM,
    "sd15-img2img": PNDM,
    "sd15-controlnet": PNDM,
    "sd15-inpaint": DDIM,
    "sd3": FLOW_MATCH_EULER,
}
_SECONDS_OF_A_LATENCY = 20.0  # a collection of garbage in every step makes a call take seconds


class NotCleanError(DiffoptError):
    """A guard is red before anything was injected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSeen:
    """The image that was drawn with a bug.

    Attributes:
        is_changed: any value differs from what was drawn without the bug.
        usual_check: what diffusers' own checks say of it.
    """

    is_changed: bool
    usual_check: SliceCheck


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What came of one bug.

    Attributes:
        bug: the bug.
        answers: what each guard said.
        image: the image with the bug.
    """

    bug: InjectedFault
    answers: tuple[Answer, ...]
    image: ImageSeen

    @property
    def caught_by(self) -> tuple[Guard, ...]:
        """The guards whose tests would fail."""
        return tuple(answer.guard for answer in self.answers if answer.is_caught)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A clean optimized pipeline, and what it drew.

    Attributes:
        subject: the pipeline, with all that its guards need.
        drawn: its images.
    """

    subject: Subject
    drawn: Any


class Workshop:
    """The benches that bugs are tried on, one at a time: bugs of one pipeline, recipe and call share one."""

    def __init__(self, folder: Path) -> None:
        """Name the folder in which the clean pipelines' figures are accepted."""
        self._folder = folder
        self._settings = Settings(max_seconds=_SECONDS_OF_A_LATENCY)
        self._test = ActiveTest(settings=self._settings)
        self._key: tuple[str, ...] = ()
        self._bench: Bench | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Be the running test, for the assertions."""
        self._stack.enter_context(running(self._test))
        self._stack.callback(self._test.pipelines.close)
        quiet = self._stack.enter_context(warnings.catch_warnings())
        del quiet
        warnings.simplefilter("ignore", RecipeWarning)  # int8 without compile makes sense here: it is compared
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Free everything."""
        self._bench = None
        self._stack.close()

    def try_out(self, bug: InjectedFault) -> Trial:
        """Plant a bug, anew for each guard, and return what they said.

        Raises:
            NotCleanError: a guard is red without the bug.
        """
        bench = self._bench_of(bug)
        image = _see(bug, bench)
        answers = [answer for group in self._answers(bug, bench.subject, bug.inject) for answer in group]
        return Trial(bug=bug, answers=tuple(answers), image=image)

    def _answers(self, bug: InjectedFault, subject: Subject, inject: Injection) -> Iterator[list[Answer]]:
        """Ask the guards, each group of them in a life of its own: as if the pipeline had been built with the bug."""
        pipelines = self._test.pipelines
        for questions in subject.asked_together():
            with recompiled(subject), inject(subject.pipeline):
                pipelines.register(subject.pipeline, _watched(bug), pipelines.log.mark())
                yield [ask(guard, question) for guard, question in questions]

    def _bench_of(self, bug: InjectedFault) -> Bench:
        key = (bug.pipeline, bug.recipe, repr(sorted(bug.inputs.items())), str(bug.is_timed))
        if self._bench is None or self._key != key:
            self._bench = None
            gc.collect()
            self._bench = self._clean_bench(bug)
            self._key = key
        return self._bench

    def _clean_bench(self, bug: InjectedFault) -> Bench:
        family = find_pipeline(bug.pipeline)
        recipe = parse_recipe(bug.recipe)
        reference = recipe.reference().apply(build_pipeline(family, Scale.TINY).pipeline)
        pipeline = recipe.apply(build_pipeline(family, Scale.TINY).pipeline)
        inputs = family.inputs(Scale.TINY).varied("", **bug.inputs)
        variations = family.variations(Scale.TINY)
        beside = {"reference_pipeline": reference, "pipeline_variations": variations}
        subject = Subject(
            pipeline=pipeline,
            reference=reference,
            inputs=inputs,
            variations=variations,
            images=ImageGate(fixture=beside.get, **self._gate(bug, "images")),
            own_images=ImageGate(fixture={"pipeline_variations": variations}.get, **self._gate(bug, "own images")),
            counts=CountGate(**self._gate(bug, "counts")),
            latency=LatencyGate(benchmark=lambda: None, **self._gate(bug, "latency")) if bug.is_timed else None,
            allow_syncs=(*_syncs_of_scheduler(bug), *bug.allow_syncs),
        )
        self._require_clean(bug, subject)
        with recompiled(subject):
            return Bench(subject=subject, drawn=_draw(pipeline, inputs))

    def _gate(self, bug: InjectedFault, concern: str) -> dict[str, Any]:
        name = f"{concern}[{bug.name}]"
        store = BaselineStore(self._folder, WritePermission.MISSING)
        owner = BaselineOwner(nodeid=name, suite="injected", name=name)
        return {"owner": owner, "store": store, "settings": self._settings}

    def _require_clean(self, bug: InjectedFault, subject: Subject) -> None:
        """Ask every guard of the clean pipeline; those with a baseline accept it now."""
        for answers in self._answers(bug, subject, lambda _pipeline: nullcontext()):
            for answer in answers:
                if answer.color is not Color.GREEN:
                    where = f"{bug.pipeline} with {bug.recipe}"
                    msg = f"{answer.guard} must be green before {bug.name} is injected into {where}, got: {answer.said}"
                    raise NotCleanError(msg)


def _see(bug: InjectedFault, bench: Bench) -> ImageSeen:
    """Draw with the bug, the first call after it was injected."""
    subject = bench.subject
    try:
        with recompiled(subject), bug.inject(subject.pipeline):
            drawn = _draw(subject.pipeline, subject.inputs)
    except Exception:  # noqa: BLE001 - whatever a broken pipeline raises turns its test red, diffusers' too
        return ImageSeen(is_changed=True, usual_check=RAISED)
    is_changed = not np.array_equal(drawn, bench.drawn)
    return ImageSeen(is_changed=is_changed, usual_check=check_slice(drawn, bench.drawn))


def _syncs_of_scheduler(bug: InjectedFault) -> Sequence[AllowedSyncs]:
    return () if "scheduler(" in bug.recipe else _KNOWN_SYNCS.get(bug.pipeline, ())


def _draw(pipeline: Any, inputs: PipelineInputs) -> Any:
    return np.array(pipeline(**inputs).images)


def _watched(bug: InjectedFault) -> Watched:
    return Watched(
        pipeline=bug.pipeline, scale=Scale.TINY, recipe=bug.recipe, weights=Weights.PRETRAINED, device=Device.CPU
    )
