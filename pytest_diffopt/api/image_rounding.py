"""Judge images by what rounding alone does to the same call, measured with the reference pipeline."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pytest_diffopt.errors import DiffoptError
from pytest_diffopt.guards.audio_thresholds import AudioThresholds
from pytest_diffopt.guards.image_noise import is_usable
from pytest_diffopt.guards.image_thresholds import ImageThresholds
from pytest_diffopt.guards.images import judge_images
from pytest_diffopt.guards.rounding import is_near_noise, noise_of, unless_rounding_decides
from pytest_diffopt.guards.verdict import Outcome, Verdict
from pytest_diffopt.probes.image_results import ImageResult, compare_results
from pytest_diffopt.probes.reference_precision import (
    FIRST_SCALES,
    SCALES,
    ReferencePrecision,
    precision_of,
    rounded_calls,
)
from pytest_diffopt.records import ImageRecord, RoundingNoise
from pytest_diffopt.session.active_test import active_test


@dataclass(frozen=True, kw_only=True, slots=True)
class Rounding:
    """What is needed to measure rounding.

    Attributes:
        pipelines: the optimized pipeline and its reference.
        call: generates the image of the reference.
        reference: its image in float32.
        thresholds: how far apart images and latents may be.
        audio_thresholds: how far apart waveforms may be; None for those that go with `thresholds`.
    """

    pipelines: tuple[Any, Any]
    call: Callable[[], ImageResult]
    reference: ImageResult
    thresholds: ImageThresholds
    audio_thresholds: AudioThresholds | None = None

    def judge(self, record: ImageRecord) -> tuple[ImageRecord, Verdict]:
        """Judge a record: by one sample of rounding if it passes, else by all samples.

        Args:
            record: the optimized pipeline's image, compared with its reference.

        Returns:
            The record with the measured noise, and its verdict.
        """
        precision = precision_of(*self.pipelines)
        if precision is None or not all(one.has_same_shape for one in record.videos):
            return record, self._judged(record)
        try:
            samples = self._samples(record, precision)
            return judge_by_samples(record, precision.name, samples, self.thresholds, self.audio_thresholds)
        except (DiffoptError, RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            # the reference need not run in this precision; the fixed thresholds then apply
            record = replace(record, noise_unavailable=(str(error).splitlines() or [type(error).__name__])[0])
            return record, self._judged(record)

    def _judged(self, record: ImageRecord) -> Verdict:
        return judge_images(record, self.thresholds, audio_thresholds=self.audio_thresholds)

    def _samples(self, record: ImageRecord, precision: ReferencePrecision) -> Iterator[ImageRecord]:
        for number, result in enumerate(rounded_calls(self.pipelines[1], precision, self.call), start=1):
            active_test().progress(f"measuring the effect of rounding: {number} of {len(SCALES)} calls")
            yield compare_results(result, self.reference, record.subject, with_lpips=self.thresholds.ask_for_lpips)


def judge_by_samples(
    record: ImageRecord,
    precision: str,
    samples: Iterable[ImageRecord],
    thresholds: ImageThresholds,
    audio_thresholds: AudioThresholds | None = None,
) -> tuple[ImageRecord, Verdict]:
    """Judge a record by the largest error of the samples so far, until it passes or there is no other sample.

    After the first five it also ends where rounding decides, or where the error is more than twice its limit.

    Args:
        record: the optimized pipeline's image, compared with its reference.
        precision: the precision of the samples, for messages.
        samples: calls of the reference in that precision, each compared with the reference itself.
        thresholds: how far apart images and latents may be.
        audio_thresholds: how far apart waveforms may be; None for those that go with `thresholds`.

    Returns:
        The record with the measured noise, and its verdict.
    """
    judge = partial(judge_images, thresholds=thresholds, audio_thresholds=audio_thresholds)
    verdict, known = judge(record), list[ImageRecord]()
    for sample in samples:
        known.append(sample)
        record = _with_noise(record, noise_of(precision, known))
        verdict = judge(record)
        if not verdict.is_failure:
            break
        if len(known) < len(FIRST_SCALES):
            continue
        verdict = unless_rounding_decides(verdict, record, known, thresholds)
        if verdict.outcome is Outcome.INCONCLUSIVE or not is_near_noise(record):
            break
    return record, verdict


def _with_noise(record: ImageRecord, noise: RoundingNoise) -> ImageRecord:
    """Return a record with this noise; without it if the noise is not finite, so that it limits nothing."""
    if is_usable(noise):
        return replace(record, noise=noise, noise_unavailable="")
    return replace(record, noise=None, noise_unavailable=f"the reference in {noise.precision} is not finite")
