"""`image_baseline`: images and latents of a call, against those that were accepted for this test."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from pytest_diffopt.api.baseline_gate import DEFAULT_REASON, BaselineGate, Comparison
from pytest_diffopt.api.calls import CallArguments, call_arguments, lifetime_of, plain_call
from pytest_diffopt.api.conclusion import conclude
from pytest_diffopt.api.images import first_module, image_calls
from pytest_diffopt.api.kept_images import conclude_images
from pytest_diffopt.api.learned_images import learned_document, remove_replaced_files
from pytest_diffopt.arguments import NOT_NEGATIVE, require
from pytest_diffopt.baselines.image_document import ImageBaseline
from pytest_diffopt.baselines.image_files import StoredFiles
from pytest_diffopt.baselines.key import BaselineKey
from pytest_diffopt.guards.baseline_comparison import incomparable, missing, what_differs
from pytest_diffopt.guards.images import judge_images
from pytest_diffopt.guards.learned_thresholds import DEFAULT_MARGIN, audio_thresholds_of, thresholds_of
from pytest_diffopt.probes.audio import waveforms_of
from pytest_diffopt.probes.image_results import ImageResult, compare_results, generate
from pytest_diffopt.probes.image_samples import (
    ComparedSample,
    calls_to_learn_from,
    result_from_stored,
    sample_images,
    sample_rounding,
)
from pytest_diffopt.probes.reference_precision import ReferencePrecision, precision_of
from pytest_diffopt.records import Concern, Device, Environment, ImageRecord, Subject
from pytest_diffopt.session.active_test import active_test


@dataclass(frozen=True, kw_only=True)
class ImageGate(BaselineGate):
    """What the `image_baseline` fixture returns.

    Attributes:
        fixture: returns another fixture of the test by name; None where there is none.
    """

    fixture: Callable[[str], Any]

    def check(
        self, target: Any, /, *args: Any, margin: float = DEFAULT_MARGIN, reason: str = DEFAULT_REASON, **inputs: Any
    ) -> None:
        """Generate images and compare them with the images and latents that were accepted for this test.

        Where this run may accept, the stored images are those of `reference_pipeline`, and thresholds are learned from
        the test's own call and from what rounding alone does to it: the same call of the reference in the precision of
        the target, in five ways. Where that has no meaning, they are learned from the own call, `pipeline_variations`
        and three more seeds, each made by both pipelines. Without a reference pipeline the target is its own reference.

        Args:
            target: the pipeline.
            *args: with `inputs`, the call; one `PipelineInputs` may hold its keywords.
            margin: how much worse than the worst of those calls an image may be, as a fraction.
            reason: why a baseline that this run accepts is right.
            **inputs: keywords of the call.

        Raises:
            BaselineError: the baseline cannot be trusted, or may not be written; or the images are two-valued.
        """
        __tracebackhide__ = True
        own = ("margin", "reason")
        self._require("image_baseline", reason=reason)
        require(NOT_NEGATIVE, margin, "image_baseline.check(margin=...)")
        arguments = call_arguments(target, args, inputs, asserted_by="image_baseline.check", own=own)
        subject = lifetime_of(target).subject
        key = self._key(subject)
        # every call is prepared before any of them runs: a generator among the inputs starts from its present state
        plain = self.fixture("reference_pipeline") if self.settings.explain else None
        calls = image_calls([one for one in (target, plain) if one is not None], arguments)

        def renew(_accepted: ImageBaseline | None, environment: Environment) -> ImageBaseline:
            return learned_document(
                self._samples(target, arguments),
                self._files(key),
                case=self.owner.name,
                subject=subject,
                environment=environment,
                margin=margin,
                reason=reason,
            )

        def replaced(before: ImageBaseline | None, after: ImageBaseline) -> None:
            remove_replaced_files(self._files(key), before, after)

        def compare(baseline: ImageBaseline | None, environment: Environment, rerun: str) -> None:
            __tracebackhide__ = True
            comparable = self._comparable(baseline, subject, environment)
            if comparable is not None:
                self._compare(comparable, (target, plain), calls, arguments, rerun)

        self._settle(
            Comparison(subject=subject, document_type=ImageBaseline, renew=renew, conclude=compare, replaced=replaced)
        )

    def _compare(
        self,
        accepted: ImageBaseline,
        pipelines: tuple[Any, Any],
        calls: Sequence[Callable[[], Any]],
        arguments: CallArguments,
        rerun: str,
    ) -> None:
        __tracebackhide__ = True
        (target, plain), subject = pipelines, lifetime_of(pipelines[0]).subject
        reference = self._stored(accepted, self._key(subject))
        result = generate(target, calls[0], arguments.keywords)
        record = compare_results(result, reference, subject)
        hint = f"to accept this: {rerun} --diffopt-update all"
        thresholds, audio_thresholds = thresholds_of(accepted.thresholds), audio_thresholds_of(accepted.thresholds)
        judge = partial(judge_images, thresholds=thresholds, audio_thresholds=audio_thresholds, hint=hint)
        verdict = judge(record)
        if verdict.is_failure and plain is not None:
            record = replace(record, first_module=first_module(target, plain, calls, thresholds))
            verdict = judge(record)
        conclude_images(record, verdict, result, reference)

    def _comparable(
        self, accepted: ImageBaseline | None, subject: Subject, environment: Environment
    ) -> ImageBaseline | None:
        """Return the accepted baseline; without one that can be compared, conclude so and return None."""
        __tracebackhide__ = True
        rerun, record = self._rerun_command, ImageRecord(subject=subject, differences=())
        if accepted is None:
            figure = "no image to compare with"
            conclude(record, missing(Concern.IMAGES, subject, figure=figure, environment=environment, rerun=rerun))
        elif rows := what_differs(subject, environment, accepted):
            conclude(record, incomparable(Concern.IMAGES, subject, rows=rows, rerun=rerun))
            return None
        return accepted

    def _files(self, key: BaselineKey) -> StoredFiles:
        return StoredFiles(self.settings.references or str(self.store.root), key)

    def _samples(self, target: Any, arguments: CallArguments) -> list[ComparedSample]:
        reference = self.fixture("reference_pipeline")
        precision = None if reference is None else precision_of(target, reference)
        sampled = self._rounded if precision else self._varied
        samples: list[ComparedSample] = []
        for sample in sampled(target, target if reference is None else reference, precision, arguments):
            samples.append(sample)
            active_test().progress(f"learning the thresholds of images: {len(samples)} calls made")
        return samples

    def _varied(
        self, target: Any, reference: Any, _precision: ReferencePrecision | None, arguments: CallArguments
    ) -> Iterator[ComparedSample]:
        variations = self.fixture("pipeline_variations") or ()
        calls = calls_to_learn_from(arguments.positional, arguments.keywords, variations)
        return sample_images(target, reference, calls, lifetime_of(target).subject)

    def _rounded(
        self, target: Any, reference: Any, precision: ReferencePrecision | None, arguments: CallArguments
    ) -> Iterator[ComparedSample]:
        """Thresholds apply to the test's own call, of which the effect of rounding is known: no other call is made."""
        assert precision is not None, "unreachable because only a known precision is sampled"  # noqa: S101
        subject = lifetime_of(target).subject
        calls = dict(islice(calls_to_learn_from(arguments.positional, arguments.keywords, ()).items(), 1))
        # prepared before any call: a generator among the inputs starts from its present state
        call = plain_call(reference, arguments)
        yield from sample_images(target, reference, calls, subject)
        yield from sample_rounding(
            reference, precision, partial(generate, reference, call, arguments.keywords), subject
        )

    def _stored(self, accepted: ImageBaseline, key: BaselineKey) -> ImageResult:
        files = self._files(key)
        latents = files.read_latents(accepted.latents) if accepted.latents else {}
        images = [files.read_image(file) for file in accepted.images]
        result = result_from_stored(images, latents, frames_per_video=accepted.frames_per_video)
        if not accepted.audio:
            return result
        return replace(result, audio=waveforms_of(files.read_audio(accepted.audio), rate_hz=accepted.sampling_rate_hz))

    def _environment(self, subject: Subject) -> Environment:
        """Return one environment for all machines without a GPU: what CPUs round differently is within the floors."""
        known = super()._environment(subject)
        if subject.device is not Device.CPU:
            return known
        return replace(known, device_slug="cpu", device_name="any processor")
