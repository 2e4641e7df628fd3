"""`assert_images_similar` and `assert_same_images`: the image is still the image."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from pytest_diffopt.api.calls import CallArguments, call_arguments, lifetime_of, watched_call
from pytest_diffopt.api.image_rounding import Rounding
from pytest_diffopt.api.kept_images import conclude_images
from pytest_diffopt.api.outside_pytest import standing_alone
from pytest_diffopt.arguments import TARGET, instance_of, require
from pytest_diffopt.guards.audio_thresholds import AudioThresholds
from pytest_diffopt.guards.image_thresholds import EXACT_ARITHMETIC, ImageThresholds, default_thresholds
from pytest_diffopt.guards.images import judge_images
from pytest_diffopt.probes.first_divergence import CORRIDOR, first_diverging_module
from pytest_diffopt.probes.image_results import compare_results, generate, result_of
from pytest_diffopt.records import Concern, ModuleDrift, Subject
from pytest_diffopt.session.active_test import active_test

#: How to get more out of a failure.
EXPLAIN_HINT = "to find the first module whose output differs: the same command with --diffopt-explain"
_THRESHOLDS = instance_of(ImageThresholds, hint="write ImageThresholds(min_ssim=0.9)").or_none()
_AUDIO_THRESHOLDS = instance_of(AudioThresholds, hint="write AudioThresholds(min_snr_db=20)").or_none()


@standing_alone
def assert_images_similar(
    images: Any,
    reference: Any,
    /,
    *,
    thresholds: ImageThresholds | None = None,
    audio_thresholds: AudioThresholds | None = None,
) -> None:
    """Assert that images are close to their references, and that neither is black, constant or has NaN.

    Videos are compared frame by frame and as a sequence, and their audio by its length, rate, noise and spectrum.

    `assert_same_images` sees more where both pipelines are available.

    Args:
        images: images or videos of the optimized pipeline: its output, tensors, arrays or PIL images; or its latents.
        reference: images or videos of the plain pipeline from the same inputs.
        thresholds: the allowed differences of images, frames and latents.
        audio_thresholds: the allowed differences of audio.
    """
    __tracebackhide__ = True
    require(_THRESHOLDS, thresholds, "assert_images_similar(thresholds=...)")
    require(_AUDIO_THRESHOLDS, audio_thresholds, "assert_images_similar(audio_thresholds=...)")
    ours, theirs = result_of(images), result_of(reference)
    subject = _subject_of_test()
    accepted = thresholds or default_thresholds(subject)
    record = compare_results(ours, theirs, subject, with_lpips=accepted.ask_for_lpips)
    conclude_images(record, judge_images(record, accepted, audio_thresholds=audio_thresholds), ours, theirs)


@standing_alone
def assert_same_images(
    pipeline: Any,
    reference: Any,
    /,
    *args: Any,
    thresholds: ImageThresholds | None = None,
    audio_thresholds: AudioThresholds | None = None,
    **inputs: Any,
) -> None:
    """Assert that two pipelines generate the same images from the same inputs, and the same latents after every step.

    Of videos, each frame is compared, and the number, size and order of frames and their flicker; of audio its length,
    rate, noise and spectrum.

    A failure names the first step whose latents exceed their limit, and with `--diffopt-explain` the first module. The
    reference is called once more in the precision of the optimized pipeline, and an error may be 1.5 times as large as
    that of rounding alone; before a failure, rounding is measured in four more calls, and in up to fifteen more while
    the error is at most twice its limit. If rounding alone reaches the other thresholds, and no error is larger than
    that, rounding decides the image: the verdict is inconclusive.

    Args:
        pipeline: the optimized pipeline.
        reference: the plain pipeline.
        *args: with `inputs`, the call that both make; generators are reset in between. One `PipelineInputs` may hold
            the keywords.
        thresholds: the allowed differences of images, frames and latents.
        audio_thresholds: the allowed differences of audio.
        **inputs: keywords of the call; with `output_type="latent"` latents are compared.
    """
    __tracebackhide__ = True
    require(TARGET, reference, "the reference of assert_same_images")
    require(_THRESHOLDS, thresholds, "assert_same_images(thresholds=...)")
    require(_AUDIO_THRESHOLDS, audio_thresholds, "assert_same_images(audio_thresholds=...)")
    own = ("thresholds", "audio_thresholds")
    arguments = call_arguments(pipeline, args, inputs, asserted_by="assert_same_images", own=own)
    subject, accepted = lifetime_of(pipeline).subject, thresholds or default_thresholds(lifetime_of(pipeline).subject)
    # both calls are made before either runs: a generator among the inputs must start from one state for both
    calls = image_calls((pipeline, reference), arguments)
    theirs = generate(reference, calls[1], arguments.keywords)
    ours = generate(pipeline, calls[0], arguments.keywords)
    record = compare_results(ours, theirs, subject, with_lpips=accepted.ask_for_lpips)
    rounding = Rounding(
        pipelines=(pipeline, reference),
        call=partial(generate, reference, calls[1], arguments.keywords),
        reference=theirs,
        thresholds=accepted,
        audio_thresholds=audio_thresholds,
    )
    record, verdict = rounding.judge(record)
    if verdict.is_failure and active_test().settings.explain:
        record = replace(record, first_module=first_module(pipeline, reference, calls, accepted))
        verdict = judge_images(record, accepted, audio_thresholds=audio_thresholds)
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
    active_test().progress("looking for the first module whose output differs")
    limit, sharp = thresholds.max_latent_error, EXACT_ARITHMETIC.max_latent_error
    is_sharp = limit is not None and sharp is not None and limit <= sharp
    # guidance amplifies the denoiser's error, so modules get a tenth of the latents' limit
    corridor = limit / 10 if is_sharp and limit is not None else CORRIDOR
    return first_diverging_module(pipeline, reference, lambda which: calls[which is reference](), corridor=corridor)


def _subject_of_test() -> Subject:
    """Return the subject of images, which name no pipeline: the test's optimized pipeline."""
    pipeline = active_test().fixtures().get("optimized_pipeline")
    return Subject(pipeline="images") if pipeline is None else lifetime_of(pipeline).subject
