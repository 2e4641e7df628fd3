"""The assertions about images: compare, judge, keep what a person must see, and write the verdict down."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_diffopt.api.assertions import conclude, lifetime_of, watched_call
from pytest_diffopt.api.second_process import answer, answers_here, values_of_second_process
from pytest_diffopt.errors import DiffoptError, ProbeError
from pytest_diffopt.guards.failure_text import counted
from pytest_diffopt.guards.images import EXACT_ARITHMETIC, ImageThresholds, default_thresholds, judge_images
from pytest_diffopt.guards.repeatability import judge_repeatability
from pytest_diffopt.guards.rounding import judge_at_edge
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.records import Concern, ImageFiles, ImageRecord, ModuleDrift, Subject
from pytest_diffopt.session.active_test import active_test

if TYPE_CHECKING:
    from pytest_diffopt.probes.image_arrays import Pixels
    from pytest_diffopt.probes.image_results import ImageResult

#: What a failure says that could say more.
EXPLAIN_HINT = "to find the module where they part: the same command with --diffopt-explain"


def assert_images_similar(images: Any, reference: Any, /, *, thresholds: ImageThresholds | None = None) -> None:
    """Assert that images are close to their references, and that neither is black, constant or holds NaN.

    Where both pipelines are at hand, `assert_same_images` sees more.

    Args:
        images: images of the optimized pipeline: its output, tensors, arrays or PIL images; or its latents.
        reference: images of the plain pipeline from the same inputs.
        thresholds: how far they may be apart.
    """
    __tracebackhide__ = True
    from pytest_diffopt.probes.image_results import compare_results, result_of  # noqa: PLC0415 - imports torch

    ours, theirs = result_of(images), result_of(reference)
    subject = _subject_of_test()
    accepted = thresholds or default_thresholds(subject)
    record = compare_results(ours, theirs, subject, with_lpips=accepted.ask_for_lpips)
    conclude_images(record, judge_images(record, accepted), ours, theirs)


def assert_same_images(
    pipeline: Any, reference: Any, /, *args: Any, thresholds: ImageThresholds | None = None, **inputs: Any
) -> None:
    """Assert that two pipelines generate the same images from the same inputs, with the same latents after every step.

    When they do not, the failure names the first step whose latents left the corridor, and with `--diffopt-explain` the
    first module. Where the reference itself, rounded as the pipeline is, does not keep the thresholds, rounding decides
    the image: the test is skipped and says so, unless more than rounding is seen after the first step.

    Args:
        pipeline: the optimized pipeline.
        reference: the plain one.
        *args: with `inputs`, the call that both make; generators are set back in between.
        thresholds: how far they may be apart.
        **inputs: keywords of the call; with `output_type="latent"` latents are compared.
    """
    __tracebackhide__ = True
    from pytest_diffopt.probes.image_results import compare_results, generate  # noqa: PLC0415 - imports torch

    subject, accepted = lifetime_of(pipeline).subject, thresholds or default_thresholds(lifetime_of(pipeline).subject)
    # both are made before either runs: a generator among the inputs must start from one state for both
    calls = image_calls((pipeline, reference), args, inputs)
    theirs, ours = generate(reference, calls[1], inputs), generate(pipeline, calls[0], inputs)
    record = compare_results(ours, theirs, subject, with_lpips=accepted.ask_for_lpips)
    verdict = judge_images(record, accepted)
    if verdict.is_failure:
        again = partial(generate, reference, calls[1], inputs)
        verdict = _unless_rounding_decides(verdict, record, accepted, (pipeline, reference), (theirs, again))
    if verdict.is_failure and active_test().settings.explain:
        record = replace(record, first_module=first_module(pipeline, reference, calls, accepted))
        verdict = judge_images(record, accepted)
    elif verdict.is_failure:
        verdict = replace(verdict, explanation=(*verdict.explanation, EXPLAIN_HINT))
    conclude_images(record, verdict, ours, theirs)


def assert_repeatable(
    target: Any,
    /,
    *args: Any,
    max_error: float = 0.0,
    after: Sequence[Mapping[str, Any]] = (),
    second_process: bool = False,
    **inputs: Any,
) -> None:
    """Assert that the same call gives the same image twice: after other calls, in another order, in another process.

    Args:
        target: a pipeline, module or function.
        *args: with `inputs`, the call; generators are set back before the second one.
        max_error: the largest difference of any value that is accepted; 0 asks for equal bits.
        after: keywords of other calls, such as `pipeline_variations`. All are made in turn and then once more in the
            opposite order, and each must generate the same image as before.
        second_process: make the second call in another process, which runs this same test up to here; its hashes are
            others. Not beside `after`.
        **inputs: keywords of the call.

    Raises:
        ProbeError: the test cannot be run in another process, or `after` is given beside `second_process`.
    """
    __tracebackhide__ = True
    from pytest_diffopt.probes.repeatability import compare_repeats  # noqa: PLC0415 - imports torch

    if second_process:
        _refuse_others(after)
        _assert_same_elsewhere(target, args, inputs, max_error)
        return
    subject = lifetime_of(target).subject
    watching = (Concern.REPEATABILITY, subject)
    call = watched_call(target, args, inputs, *watching)
    others = {
        getattr(other, "label", "") or f"other {number}": watched_call(target, (), other, *watching)
        for number, other in enumerate(after)
        if getattr(other, "change", None) is None
    }
    record = compare_repeats(call, subject, others)
    conclude(record, judge_repeatability(record, max_error=max_error))


def _refuse_others(after: Sequence[Mapping[str, Any]]) -> None:
    if after:
        others = counted(len(after), "call")
        msg = f"second_process=True makes the test's own call alone: assert after=... by itself, got: {others}"
        raise ProbeError(msg)


def _assert_same_elsewhere(target: Any, args: Sequence[Any], inputs: Mapping[str, Any], max_error: float) -> None:
    __tracebackhide__ = True
    from pytest_diffopt.probes.image_arrays import values_of  # noqa: PLC0415 - imports torch
    from pytest_diffopt.probes.repeatability import compare_values  # noqa: PLC0415 - as above

    subject, is_second = lifetime_of(target).subject, answers_here()
    values = values_of(watched_call(target, args, inputs, Concern.REPEATABILITY, subject)()).copy()
    if is_second:
        answer(values)
    record = replace(compare_values(values, values_of_second_process(), subject), in_second_process=True)
    conclude(record, judge_repeatability(record, max_error=max_error))


def _unless_rounding_decides(
    verdict: Verdict,
    record: ImageRecord,
    thresholds: ImageThresholds,
    pipelines: tuple[Any, Any],
    generated: "tuple[ImageResult, Callable[[], ImageResult]]",
) -> Verdict:
    """Generate the reference again, rounded to what the optimized pipeline is in, before its image is called wrong."""
    from pytest_diffopt.probes.image_results import compare_results  # noqa: PLC0415 - imports torch
    from pytest_diffopt.probes.rounding import SCALES, rounded_calls, rounding_of  # noqa: PLC0415 - as above

    (pipeline, reference), (theirs, again) = pipelines, generated
    dtype = rounding_of(pipeline)
    if dtype is None:
        return verdict
    active_test().progress(f"generating the reference again, rounded in {len(SCALES)} ways")
    results = rounded_calls(reference, dtype, again)
    rounded = [
        compare_results(result, theirs, record.subject, with_lpips=thresholds.ask_for_lpips) for result in results
    ]
    return judge_at_edge(verdict, record, rounded, thresholds, str(dtype).removeprefix("torch."))


def conclude_images(record: ImageRecord, verdict: Verdict, ours: "ImageResult", theirs: "ImageResult") -> None:
    """Keep the images of a check that did not pass, or of every check where a report shows them; then conclude."""
    __tracebackhide__ = True
    is_told = verdict.outcome is not Outcome.PASSED
    if record.differences and (is_told or active_test().artifacts.keeps_everything):
        try:
            record = _with_files(record, ours.images, theirs.images)
            line = f"images: {_folder_of(record.differences[0].files)}"
        except DiffoptError as error:  # must not hide what it was to illustrate
            line = str(error)
        if is_told:
            verdict = replace(verdict, explanation=(*verdict.explanation, line))
    conclude(record, verdict)


def image_calls(pipelines: Sequence[Any], args: Sequence[Any], inputs: Mapping[str, Any]) -> list[Callable[[], Any]]:
    """Return one and the same call of each pipeline, with a word on whose it is when it raises."""
    known = active_test().pipelines
    return [watched_call(one, args, inputs, Concern.IMAGES, known.lifetime_of(one).subject) for one in pipelines]


def first_module(
    pipeline: Any, reference: Any, calls: Sequence[Callable[[], Any]], thresholds: ImageThresholds
) -> ModuleDrift | None:
    """Find the module where the images of two pipelines part.

    Args:
        pipeline: the optimized pipeline.
        reference: the plain one.
        calls: the call of the one and of the other.
        thresholds: how far images may be; where latents may hardly differ, neither may a module's output.
    """
    from pytest_diffopt.probes.first_divergence import CORRIDOR, first_diverging_module  # noqa: PLC0415 - imports torch

    active_test().progress("looking for the module where the images part")
    is_sharp = thresholds.max_latent_error <= EXACT_ARITHMETIC.max_latent_error
    # guidance widens what a denoiser's output is off, so that a tenth of the latents' error is looked for in modules
    corridor = thresholds.max_latent_error / 10 if is_sharp else CORRIDOR
    return first_diverging_module(pipeline, reference, lambda which: calls[which is reference](), corridor=corridor)


def _with_files(record: ImageRecord, ours: "Pixels | None", theirs: "Pixels | None") -> ImageRecord:
    assert ours is not None and theirs is not None, "unreachable because the record is of images"  # noqa: S101, PT018
    check = sum(entry.verdict.concern is Concern.IMAGES for entry in active_test().entries)
    pairs = enumerate(zip(ours, theirs, strict=True))
    files = [_kept(f"{check}-{number}", *pair) for number, pair in pairs]
    differences = [replace(one, files=its) for one, its in zip(record.differences, files, strict=True)]
    return replace(record, differences=tuple(differences))


def _kept(name: str, image: "Pixels", reference: "Pixels") -> ImageFiles:
    from pytest_diffopt.probes.flip import flip_heat_map  # noqa: PLC0415 - only where something is kept

    save = active_test().artifacts.save_image
    return ImageFiles(
        image=save(image, f"{name}-image"),
        reference=save(reference, f"{name}-reference"),
        heat_map=save(flip_heat_map(image, reference), f"{name}-heat-map"),
    )


def _folder_of(files: ImageFiles | None) -> str:
    assert files is not None, "unreachable because they were just kept"  # noqa: S101
    return active_test().artifacts.path_of(files.image.rpartition("/")[0])


def _subject_of_test() -> Subject:
    """Return the subject of images, whose pipeline is not known: the test's optimized pipeline."""
    pipeline = active_test().fixtures().get("optimized_pipeline")
    return Subject(pipeline="images") if pipeline is None else lifetime_of(pipeline).subject
