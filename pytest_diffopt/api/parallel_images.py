"""`assert_same_images_in_parallel`: several processes together draw the image that one process draws."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from pytest_diffopt.api.asked_recipe import RECIPE
from pytest_diffopt.api.calls import CallArguments, call_arguments, lifetime_of, watched_call
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.effects import effects_of
from pytest_diffopt.api.kept_images import conclude_images
from pytest_diffopt.api.outside_pytest import standing_alone
from pytest_diffopt.api.parallel_answer import Rank, RankAnswer, answer_together, rank_of_this_process
from pytest_diffopt.api.parallel_ranks import answers_of_ranks, require_test
from pytest_diffopt.api.second_process import answers_here, end_test
from pytest_diffopt.arguments import instance_of, require
from pytest_diffopt.errors import RecipeError
from pytest_diffopt.guards.effects import judge_effects
from pytest_diffopt.guards.image_thresholds import ImageThresholds, default_thresholds
from pytest_diffopt.guards.images import judge_images
from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.probes.image_results import ImageResult, compare_results, generate
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.parallelism import Parallelism
from pytest_diffopt.recipes.recipe import Recipe
from pytest_diffopt.records import Concern, ImageRecord, Subject
from pytest_diffopt.session.active_test import active_test

_NAME = "assert_same_images_in_parallel"
_THRESHOLDS = instance_of(ImageThresholds, hint="write ImageThresholds(min_ssim=0.9)").or_none()


@standing_alone
def assert_same_images_in_parallel(
    reference: Any,
    /,
    *args: Any,
    recipe: "str | Recipe | None" = None,
    thresholds: ImageThresholds | None = None,
    **inputs: Any,
) -> None:
    """Assert that the processes of a parallel recipe together draw the image that one process draws.

    The call is made here, and in as many processes on this machine as the recipe splits the call over. Each of them
    runs this test up to here, applies the recipe to its own pipeline, and joins the others by gloo, on the CPU. The
    image and the latents of every process are compared with those of this one. A second call counts what each
    optimization did: of the parallelism, the collectives and the bytes that were passed to them. None fails.

    What the CPU cannot run, such as ring attention, is skipped with the reason.

    Args:
        reference: the pipeline in one process, without a recipe or with the reference's (`reference_pipeline`).
        *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords.
        recipe: the optimizations, with `context_parallel` or `tensor_parallel`; by default the marker's.
        thresholds: the allowed differences of images, frames and latents.
        **inputs: keywords of the call.

    Raises:
        ProbeError: an argument has the wrong type, or a process did not answer; its own error is in the message.
        RecipeError: the recipe has no parallelism, or the pipeline has another recipe.
    """
    __tracebackhide__ = True
    arguments = call_arguments(reference, args, inputs, asserted_by=_NAME, own=("recipe", "thresholds"))
    require(RECIPE, recipe, f"{_NAME}(recipe=...)")
    require(_THRESHOLDS, thresholds, f"{_NAME}(thresholds=...)")
    asked = _recipe(recipe)
    parallelism = _parallelism(asked)
    _skip_where_it_cannot_run(asked, reference)
    parallelism.refuse_unsuited(reference)
    rank, is_requested = rank_of_this_process(), answers_here()
    if rank is None:
        _assert_same(reference, arguments, asked, parallelism.processes, thresholds)
    elif is_requested:
        answer_together(rank, lambda: _answer(reference, arguments, asked, rank))
        end_test()


def _recipe(recipe: "str | Recipe | None") -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    text = recipe or active_test().recipe_text
    if not text:
        msg = f'{_NAME} needs a recipe: mark the test with @pytest.mark.diffopt(recipe="...") or pass recipe="..."'
        raise RecipeError(msg)
    return parse_recipe(text)


def _parallelism(recipe: Recipe) -> Parallelism:
    found = [one for one in recipe.optimizations if isinstance(one, Parallelism)]
    if not found:
        msg = f"{_NAME} needs a recipe with context_parallel or tensor_parallel, got: {recipe}"
        raise RecipeError(msg)
    return found[0]


def _skip_where_it_cannot_run(recipe: Recipe, pipeline: Any) -> None:
    device = getattr(pipeline, "device", None)
    if active_test().settings.use_gpu or (isinstance(device, torch.device) and device.type != "cpu"):
        pytest.skip(f"{_NAME} joins its processes by gloo on the CPU, by a run without --diffopt-gpu")
    if reason := recipe.why_unavailable(torch.device("cpu")):
        pytest.skip(reason)


def _answer(pipeline: Any, arguments: CallArguments, recipe: Recipe, rank: Rank) -> RankAnswer:
    """Make the call in one of the processes, once for its result and once for its effects."""
    recipe.apply_to_reference(pipeline)
    subject = _subject(lifetime_of(pipeline).subject, recipe, rank)
    result = generate(pipeline, watched_call(pipeline, arguments, Concern.IMAGES, subject), arguments.keywords)
    effects = effects_of(pipeline, arguments, recipe)
    return RankAnswer(result=result, effects=replace(effects, subject=subject))


def _subject(subject: Subject, recipe: Recipe, rank: Rank) -> Subject:
    return replace(subject, recipe=str(recipe), rank=str(rank))


def _assert_same(
    reference: Any, arguments: CallArguments, recipe: Recipe, processes: int, thresholds: ImageThresholds | None
) -> None:
    __tracebackhide__ = True
    require_test(_NAME)
    subject = lifetime_of(reference).subject
    # made before the call, because its generator must start from one state in every process
    theirs = generate(reference, watched_call(reference, arguments, Concern.IMAGES, subject), arguments.keywords)
    answers = answers_of_ranks(processes)
    accepted = thresholds or _default_thresholds(reference, recipe, subject)
    results = [answer.result for answer in answers]
    subjects = [answer.effects.subject for answer in answers]
    records = [
        compare_results(ours, theirs, its, with_lpips=accepted.ask_for_lpips)
        for ours, its in zip(results, subjects, strict=True)
    ]
    judged = _with_others([judge_images(record, accepted) for record in records])
    for record, verdict, ours in _failures_last(records, judged, results):
        conclude_images(record, verdict, ours, theirs)
    for answer in answers:
        verdict = judge_effects(answer.effects)
        conclude(answer.effects, replace(verdict, summary=f"{answer.effects.subject.rank}: {verdict.summary}"))


def _default_thresholds(reference: Any, recipe: Recipe, subject: Subject) -> ImageThresholds:
    """Return the thresholds of the recipe; those of float32 arithmetic where nothing in it changes the precision."""
    parameters = [one for module in modules_of(reference).values() for one in module.parameters()]
    is_float32 = all(one.dtype == torch.float32 for one in parameters if one.is_floating_point())
    names = f"fp32 + {recipe}" if is_float32 else str(recipe)
    return default_thresholds(replace(subject, recipe=names))


def _with_others(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Name the rank in each summary, and in each failure the other ranks that fail: only one of them is raised."""
    failing = [verdict.subject.rank for verdict in verdicts if verdict.is_failure]
    named = []
    for verdict in verdicts:
        rank = verdict.subject.rank
        others = ", ".join(other for other in failing if other != rank)
        more = (f"  also in {others}",) if verdict.is_failure and others else ()
        explanation = (*verdict.explanation[:1], *more, *verdict.explanation[1:])
        named.append(replace(verdict, summary=f"{rank}: {verdict.summary}", explanation=explanation))
    return named


def _failures_last(
    records: Sequence[ImageRecord], verdicts: Sequence[Verdict], results: Sequence[ImageResult]
) -> list[tuple[ImageRecord, Verdict, ImageResult]]:
    """Sort what is concluded: a failure raises, and the verdicts after it would be lost."""
    return sorted(zip(records, verdicts, results, strict=True), key=lambda one: one[1].is_failure)
