"""Images against those that were accepted: draw, judge, and learn where the user allowed it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pytest_diffopt.api.assertions import conclude, lifetime_of
from pytest_diffopt.api.images import conclude_images, first_module, image_calls
from pytest_diffopt.api.stored_gates import DEFAULT_REASON
from pytest_diffopt.baselines import BaselineKey, BaselineStore, ImageBaseline
from pytest_diffopt.baselines.documents import AcceptedEnvironment, AcceptedSubject
from pytest_diffopt.baselines.image_document import ImageFigures, ImageSample
from pytest_diffopt.baselines.image_files import StoredFiles
from pytest_diffopt.environment import capture_environment
from pytest_diffopt.errors import BaselineError
from pytest_diffopt.guards.baseline_comparison import incomparable, missing, what_differs
from pytest_diffopt.guards.images import judge_images, worst_figures
from pytest_diffopt.guards.learned_thresholds import DEFAULT_MARGIN, learned, thresholds_of, two_valued
from pytest_diffopt.records import Concern, Device, Environment, ImageRecord, Subject
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.baseline_owner import Case
from pytest_diffopt.session.settings import Settings

if TYPE_CHECKING:
    from pytest_diffopt.probes.image_results import ImageResult
    from pytest_diffopt.probes.image_samples import ComparedSample

_LARGEST_PSNR_DB = 100.0


@dataclass(frozen=True, kw_only=True)
class ImageGate:
    """What the `image_baseline` fixture hands to a test.

    Attributes:
        case: the test.
        store: where baselines are.
        settings: what the user asked for.
        fixture: returns another fixture of the test by name, None where there is none.
    """

    case: Case
    store: BaselineStore
    settings: Settings
    fixture: Callable[[str], Any]

    def check(
        self, target: Any, /, *args: Any, margin: float = DEFAULT_MARGIN, reason: str = DEFAULT_REASON, **inputs: Any
    ) -> None:
        """Draw, and compare with the images and latents that were accepted for this test.

        Where this run may accept, the images are those of `reference_pipeline` and the thresholds are learned from
        the test's own call, `pipeline_variations` and three more seeds, each drawn by both. Without a reference
        pipeline the target is its own reference.

        Args:
            target: the pipeline.
            *args: with `inputs`, the call.
            margin: by how much more than the worst of those calls an image may be off, as a fraction.
            reason: why a baseline that this run accepts is right.
            **inputs: keywords of the call.

        Raises:
            BaselineError: the baseline cannot be trusted, or may not be written; or the images are two-valued.
        """
        __tracebackhide__ = True
        from pytest_diffopt.probes.image_results import compare_results, draw  # noqa: PLC0415 - imports torch

        subject = lifetime_of(target).subject
        environment, key = self._environment(subject), self._key(subject)
        self.store.claim(key, nodeid=self.case.nodeid, concern=Concern.IMAGES)
        # every call is made before any of them runs: a generator among the inputs starts from its state of now
        plain = self.fixture("reference_pipeline") if self.settings.explain else None
        made = image_calls([one for one in (target, plain) if one is not None], args, inputs)
        accepted = self.store.read(key, ImageBaseline)
        if self.store.can_accept(key):
            accepted = self._accept(accepted, key, subject, self._samples(target, args, inputs), (margin, reason))
        self._require_comparable(accepted, subject, environment)
        assert accepted is not None, "unreachable because a missing baseline has ended the test"  # noqa: S101
        reference = self._stored(accepted, key)
        result = draw(target, made[0], inputs)
        record = compare_results(result, reference, subject)
        hint = f"to accept this: {self.case.rerun_command(self.settings)} --diffopt-update all"
        thresholds = thresholds_of(accepted.thresholds)
        verdict = judge_images(record, thresholds, hint=hint)
        if verdict.is_failure and plain is not None:
            record = replace(record, first_module=first_module(target, plain, made, thresholds))
            verdict = judge_images(record, thresholds, hint=hint)
        conclude_images(record, verdict, result, reference)

    def _require_comparable(self, accepted: ImageBaseline | None, subject: Subject, environment: Environment) -> None:
        __tracebackhide__ = True
        rerun, record = self.case.rerun_command(self.settings), ImageRecord(subject=subject, differences=())
        if accepted is None:
            figure = "no image to compare with"
            conclude(record, missing(Concern.IMAGES, subject, figure=figure, environment=environment, rerun=rerun))
        elif rows := what_differs(subject, environment, accepted):
            conclude(record, incomparable(Concern.IMAGES, subject, rows=rows, rerun=rerun))

    def _key(self, subject: Subject) -> BaselineKey:
        slug = self._environment(subject).device_slug
        return BaselineKey(device_slug=slug, suite=self.case.suite, case=self.case.name, scale=subject.scale)

    def _files(self, key: BaselineKey) -> StoredFiles:
        return StoredFiles(self.settings.references or str(self.store.root), key)

    def _samples(self, target: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> "list[ComparedSample]":
        from pytest_diffopt.probes.image_samples import calls_to_learn_from, sample_images  # noqa: PLC0415 - torch

        reference = self.fixture("reference_pipeline")
        variations = self.fixture("pipeline_variations") or ()
        calls = calls_to_learn_from(args, inputs, variations)
        samples: list[ComparedSample] = []
        drawn = sample_images(target, target if reference is None else reference, calls, lifetime_of(target).subject)
        for sample in drawn:
            active_test().progress(f"learning how far images may be: {len(samples) + 1} of {len(calls)} calls")
            samples.append(sample)
        return samples

    def _accept(
        self,
        known: ImageBaseline | None,
        key: BaselineKey,
        subject: Subject,
        drawn: "list[ComparedSample]",
        accepted_with: tuple[float, str],
    ) -> ImageBaseline:
        from pytest_diffopt.probes.image_samples import levels_of, stored_latents  # noqa: PLC0415 - imports torch

        margin, reason = accepted_with
        samples = tuple(ImageSample(call=one.call, figures=_figures(one.record)) for one in drawn)
        _refuse_defects(drawn)
        _refuse_two_valued(samples)
        files, reference = self._files(key), drawn[0].reference
        latents = stored_latents(reference)
        document = ImageBaseline(
            case=self.case.name,
            subject=AcceptedSubject.of(subject),
            environment=AcceptedEnvironment.of(self._environment(subject)),
            reason=reason,
            images=tuple(files.write_image(*numbered) for numbered in enumerate(levels_of(reference))),
            latents=files.write_latents(latents) if latents else None,
            thresholds=learned(samples, margin=margin),
            margin=margin,
            samples=samples,
        )
        self.store.accept(key, document, nodeid=self.case.nodeid)
        kept = {file.name for file in document.files}
        for file in known.files if known else ():
            if file.name not in kept:
                files.remove(file)
        return document

    def _stored(self, accepted: ImageBaseline, key: BaselineKey) -> "ImageResult":
        from pytest_diffopt.probes.image_samples import result_from_stored  # noqa: PLC0415 - imports torch

        files = self._files(key)
        latents = files.read_latents(accepted.latents) if accepted.latents else {}
        return result_from_stored([files.read_image(file) for file in accepted.images], latents)

    @staticmethod
    def _environment(subject: Subject) -> Environment:
        """Without a GPU one folder serves every machine: what processors round differently is within the floors."""
        known = capture_environment(subject.device)
        if subject.device is not Device.CPU:
            return known
        return replace(known, device_slug="cpu", device_name="any processor")


def _figures(record: ImageRecord) -> ImageFigures:
    figures = worst_figures(record)
    return ImageFigures(
        ssim=figures.get("ssim", 1.0),
        psnr_db=min(figures.get("psnr_db", _LARGEST_PSNR_DB), _LARGEST_PSNR_DB),
        max_error=figures.get("max_error", 0.0),
        mean_error=figures.get("mean_error", 0.0),
        flip=figures.get("flip", 0.0),
        latent_error=figures.get("latent_error", 0.0),
    )


def _refuse_defects(drawn: "list[ComparedSample]") -> None:
    """Refuse to accept what is wrong whatever it is compared with."""
    for sample in drawn:
        record = sample.record
        defects = [*(one.defects for one in record.differences), *(one.defects for one in record.latents)]
        for defect in (defect for its in defects for defect in its):
            msg = f"these images cannot be accepted: in {sample.call}, {defect}"
            raise BaselineError(msg)


def _refuse_two_valued(samples: tuple[ImageSample, ...]) -> None:
    found = two_valued(samples)
    if found:
        msg = (
            "these images are two-valued, and a threshold that lets both kinds pass would guard nothing\n"
            f"  SSIM {found.close_ssim:.4f} or more: {', '.join(found.close)}\n"
            f"  SSIM {found.far_ssim:.4f} or less: {', '.join(found.far)}\n"
            "  test a call that is less sensitive to rounding (another seed, more steps, less guidance), or compare "
            "with assert_same_images(..., thresholds=...)"
        )
        raise BaselineError(msg)
