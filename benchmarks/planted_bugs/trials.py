"""Planting a bug and asking every guard, after the clean pipeline turned none of them red."""

import gc
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from benchmarks.planted_bugs.declaring import PlantedBug
from benchmarks.planted_bugs.guarding import Answer, Colour, Guard, Subject, ask, compiled_anew, said_of
from benchmarks.planted_bugs.slices import RAISED, SliceCheck, check_slice
from pytest_diffopt import CountGate, LatencyGate, PipelineInputs, Scale, assert_images_similar
from pytest_diffopt.active_test import ActiveTest, active_test, running
from pytest_diffopt.baselines import BaselineStore
from pytest_diffopt.cases import Case
from pytest_diffopt.errors import DiffoptError, RecipeWarning
from pytest_diffopt.options import Settings, WritePermission
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.records import Device, Weights
from pytest_diffopt.records import Subject as Watched
from suites.known_waits import DDIM, FLOW_MATCH_EULER, PNDM

#: Where the published scheduler waits; a recipe that brings another one has no such excuse.
_KNOWN_WAITS = {
    "sd15": PNDM,
    "sd15-img2img": PNDM,
    "sd15-controlnet": PNDM,
    "sd15-inpaint": DDIM,
    "sd3": FLOW_MATCH_EULER,
}
_SECONDS_OF_A_LATENCY = 6.0


class NotCleanError(DiffoptError):
    """A guard is red before anything was planted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureSeen:
    """The picture that was drawn with a bug.

    Attributes:
        is_changed: any value differs from what was drawn without the bug.
        usual_check: what diffusers' own checks say of it.
        figures: how far it is from the stored picture of the plain pipeline; empty where there is none.
    """

    is_changed: bool
    usual_check: SliceCheck
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """What came of one bug.

    Attributes:
        bug: the bug.
        answers: what each guard said.
        picture: the picture with the bug.
    """

    bug: PlantedBug
    answers: tuple[Answer, ...]
    picture: PictureSeen

    @property
    def caught_by(self) -> tuple[Guard, ...]:
        """The guards whose tests would fail."""
        return tuple(answer.guard for answer in self.answers if answer.is_caught)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A clean optimized pipeline beside its plain reference, and what both drew.

    Attributes:
        subject: the optimized pipeline.
        reference: the plain pipeline.
        drawn: the pictures of the optimized pipeline.
        plain: the pictures of the reference, as they would be stored.
    """

    subject: Subject
    reference: Any
    drawn: Any
    plain: Any


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

    def try_out(self, bug: PlantedBug) -> Trial:
        """Plant a bug, anew for each guard, and return what they said.

        Raises:
            NotCleanError: a guard is red without the bug.
        """
        bench = self._bench_of(bug)
        answers, picture = _judge_pictures(bug, bench)
        others = [self._ask_planted(bug, bench.subject, guard) for guard, _question in bench.subject.asked_in_turn()]
        return Trial(bug=bug, answers=(*answers, *others), picture=picture)

    def _ask_planted(self, bug: PlantedBug, subject: Subject, guard: Guard) -> Answer:
        with compiled_anew(subject), self._a_new_life(bug, subject.pipeline), bug.plant(subject.pipeline):
            return ask(guard, dict(subject.asked_in_turn())[guard])

    @contextmanager
    def _a_new_life(self, bug: PlantedBug, pipeline: Any) -> Iterator[None]:
        """Let the compile log count from here, as if the pipeline had been built with the bug."""
        pipelines = self._test.pipelines
        pipelines.register(pipeline, _watched(bug), pipelines.log.mark())
        yield

    def _bench_of(self, bug: PlantedBug) -> Bench:
        key = (bug.pipeline, bug.recipe, repr(sorted(bug.inputs.items())), str(bug.is_timed))
        if self._bench is None or self._key != key:
            self._bench = None
            gc.collect()
            self._bench = self._clean_bench(bug)
            self._key = key
        return self._bench

    def _clean_bench(self, bug: PlantedBug) -> Bench:
        family = find_pipeline(bug.pipeline)
        reference = build_pipeline(family, Scale.TINY).pipeline
        pipeline = parse_recipe(bug.recipe).apply(build_pipeline(family, Scale.TINY).pipeline)
        inputs = family.inputs(Scale.TINY).varied("", **bug.inputs)
        subject = Subject(
            pipeline=pipeline,
            inputs=inputs,
            variations=family.variations(Scale.TINY),
            counts=CountGate(**self._gate(bug, "counts")),
            latency=LatencyGate(benchmark=lambda: None, **self._gate(bug, "latency")) if bug.is_timed else None,
            allow_syncs=() if "scheduler(" in bug.recipe else _KNOWN_WAITS.get(bug.pipeline, ()),
        )
        self._require_clean(bug, subject)
        with compiled_anew(subject):
            return Bench(
                subject=subject, reference=reference, drawn=_draw(pipeline, inputs), plain=_draw(reference, inputs)
            )

    def _gate(self, bug: PlantedBug, concern: str) -> dict[str, Any]:
        name = f"{concern}[{bug.name}]"
        store = BaselineStore(self._folder, WritePermission.MISSING)
        return {"case": Case(nodeid=name, suite="planted", name=name), "store": store, "settings": self._settings}

    def _require_clean(self, bug: PlantedBug, subject: Subject) -> None:
        """Ask every guard twice where figures are accepted: the first answer is what the second is compared with."""
        for guard, question in subject.asked_in_turn():
            with compiled_anew(subject), self._a_new_life(bug, subject.pipeline):
                answer = ask(guard, question)
            if answer.colour is not Colour.GREEN:
                where = f"{bug.pipeline} with {bug.recipe}"
                msg = f"{guard} must be green before {bug.name} is planted into {where}, got: {answer.said}"
                raise NotCleanError(msg)


def _judge_pictures(bug: PlantedBug, bench: Bench) -> tuple[tuple[Answer, ...], PictureSeen]:
    """Compare what is drawn with the bug with the plain pipeline beside it, and with what was drawn before."""
    subject = bench.subject
    try:
        with compiled_anew(subject), bug.plant(subject.pipeline):
            drawn = _draw(subject.pipeline, subject.inputs)
            beside = _draw(bench.reference, subject.inputs)
    except Exception as error:  # noqa: BLE001 - whatever a broken pipeline raises turns its test red
        answer = Answer(guard=Guard.PICTURE, colour=Colour.RAISED, said=said_of(error))
        return (answer,), PictureSeen(is_changed=True, usual_check=RAISED)
    answers = (
        ask(Guard.PICTURE, lambda: assert_images_similar(drawn, beside)),
        ask(Guard.STORED_PICTURE, lambda: assert_images_similar(drawn, bench.plain)),
    )
    figures = active_test().take_entries()[-1].verdict.figures
    is_changed = not np.array_equal(drawn, bench.drawn)
    return answers, PictureSeen(
        is_changed=is_changed, usual_check=check_slice(drawn, bench.drawn), figures=dict(figures)
    )


def _draw(pipeline: Any, inputs: PipelineInputs) -> Any:
    return np.array(pipeline(**inputs).images)


def _watched(bug: PlantedBug) -> Watched:
    return Watched(
        pipeline=bug.pipeline, scale=Scale.TINY, recipe=bug.recipe, weights=Weights.PRETRAINED, device=Device.CPU
    )
