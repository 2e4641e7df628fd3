"""`assert_images_similar` and `assert_same_images`: the image is still the image."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pytest_diffopt.api.calls import CallArguments, call_arguments, lifetime_of, watched_call
from pytest_diffopt.api.kept_images import conclude_images
from pytest_diffopt.arguments import TARGET, instance_of, require
from pytest_diffopt.guards.images import EXACT_ARITHMETIC, ImageThresholds, default_thresholds, judge_images
from pytest_diffopt.guards.rounding import judge_at_edge
from pytest_diffopt.guards.verdict import Verdict
from pytest_diffopt.probes.first_divergence import CORRIDOR, first_diverging_module
from pytest_diffopt.probes.image_results import ImageResult, compare_results, generate, result_of
from pytest_diffopt.probes.rounding import SCALES, rounded_calls, rounding_of
from pytest_diffopt.records import Concern, ImageRecord, ModuleDrift, Subject
from pytest_diffopt.session.active_test import active_test

#: How to get more out of a failure.
EXPLAIN_HINT = "to find the module where they part: the same command with --diffopt-explain"
_THRESHOLDS = instance_of(ImageThresholds, hint="write ImageThresholds(min_ssim=0.9)").or_none()


def assert_images_similar(images: Any, reference: Any, /, *, thresholds: ImageThresholds | None = None) -> None:
    """Assert that images are close to their references, and that neither is black, constant or has NaN.

    `assert_same_images` sees more where both pipelines are available.

    Args:
        images: images of the optimized pipeline: its output, tensors, arrays or PIL images; or its latents.
        reference: images of the plain pipeline from the same inputs.
        thresholds: the allowed differences.
    """
    __tracebackhide__ = True
    require(_THRESHOLDS, thresholds, "assert_images_similar(thresholds=...)")
    ours, theirs = result_of(images), result_of(reference)
    subject = _subject_of_test()
    accepted = thresholds or default_thresholds(subject)
    record = compare_results(ours, theirs, subject, with_lpips=accepted.ask_for_lpips)
    conclude_images(record, judge_images(record, accepted), ours, theirs)


def assert_same_images(
    pipeline: Any, reference: Any, /, *args: Any, thresholds: ImageThresholds | None = None, **inputs: Any
) -> None:
    """Assert that two pipelines generate the same images from the same inputs, and the same latents after every step.

    A failure names the first step whose latents exceed their limit, and with `--diffopt-explain` the first module. If
    the reference itself, rounded to the pipeline's dtype, exceeds the thresholds, rounding decides the image: the test
    is skipped with that reason, unless more than rounding is seen after the first step.

    Args:
        pipeline: the optimized pipeline.
        reference: the plain pipeline.
        *args: with `inputs`, the call that both make; generators are reset in between. One `PipelineInputs` may hold
            the keywords.
        thresholds: the allowed differences.
        **inputs: keywords of the call; with `output_type="latent"` latents are compared.
    """
    __tracebackhide__ = True
    require(TARGET, reference, "the reference of assert_same_images")
    require(_THRESHOLDS, thresholds, "assert_same_images(thresholds=...)")
    arguments = call_arguments(pipeline, args, inputs, asserted_by="assert_same_images", own=("thresholds",))
    subject, accepted = lifetime_of(pipeline).subject, thresholds or default_thresholds(lifetime_of(pipeline).subject)
    # both calls are made before either runs: a generator among the inputs must start from one state for both
    calls = image_calls((pipeline, reference), arguments)
    theirs = generate(reference, calls[1], arguments.keywords)
    ours = generate(pipeline, calls[0], arguments.keywords)
    record = compare_results(ours, theirs, subject, with_lpips=accepted.ask_for_lpips)
    verdict = judge_images(record, accepted)
    if verdict.is_failure:
        again = partial(generate, reference, calls[1], arguments.keywords)
        verdict = _unless_rounding_decides(verdict, record, accepted, (pipeline, reference), (theirs, again))
    if verdict.is_failure and active_test().settings.explain:
        record = replace(record, first_module=first_module(pipeline, reference, calls, accepted))
        verdict = judge_images(record, accepted)
    elif verdict.is_failure:
        verdict = replace(verdict, explanation=(*verdict.explanation, EXPLAIN_HINT))
    conclude_images(record, verdict, ours, theirs)


def image_calls(pipelines: Sequence[Any], arguments: CallArguments) -> list[Callable[[], Any]]:
    """Return the same call of each pipeline; an exception gets a note that names the pipeline."""
    known = active_test().pipelines
    return [watched_call(one, arguments, Concern.IMAGES, known.lifetime_of(one).subject) for one in pipelines]


def first_module(
    pipeline: Any, reference: Any, calls: Sequence[Callable[[], Any]], thresholds: ImageThresholds
) -> ModuleDrift | None:
    """Find the first module whose output differs between two pipelines.

    Args:
        pipeline: the optimized pipeline.
        reference: the plain pipeline.
        calls: the call of each of them.
        thresholds: the allowed differences of images; strict limits for latents make the limit for modules strict too.
    """
    active_test().progress("looking for the module where the images part")
    is_sharp = thresholds.max_latent_error <= EXACT_ARITHMETIC.max_latent_error
    # guidance amplifies the denoiser's error, so modules get a tenth of the latents' limit
    corridor = thresholds.max_latent_error / 10 if is_sharp else CORRIDOR
    return first_diverging_module(pipeline, reference, lambda which: calls[which is reference](), corridor=corridor)


def _unless_rounding_decides(
    verdict: Verdict,
    record: ImageRecord,
    thresholds: ImageThresholds,
    pipelines: tuple[Any, Any],
    references: tuple[ImageResult, Callable[[], ImageResult]],
) -> Verdict:
    """Before an image fails, generate the reference again, rounded to the dtype of the optimized pipeline."""
    (pipeline, reference), (theirs, again) = pipelines, references
    dtype = rounding_of(pipeline)
    if dtype is None:
        return verdict
    active_test().progress(f"generating the reference again, rounded in {len(SCALES)} ways")
    rounded = [
        compare_results(result, theirs, record.subject, with_lpips=thresholds.ask_for_lpips)
        for result in rounded_calls(reference, dtype, again)
    ]
    return judge_at_edge(verdict, record, rounded, thresholds, str(dtype).removeprefix("torch."))


def _subject_of_test() -> Subject:
    """Return the subject of images, which name no pipeline: the test's optimized pipeline."""
    pipeline = active_test().fixtures().get("optimized_pipeline")
    return Subject(pipeline="images") if pipeline is None else lifetime_of(pipeline).subject
