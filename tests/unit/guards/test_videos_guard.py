"""What is wrong with a video as a sequence of frames, in words."""

import math

import pytest

from pytest_diffopt.guards.audio import audio_violations
from pytest_diffopt.guards.audio_thresholds import EXACT_AUDIO, AudioThresholds, default_audio_thresholds
from pytest_diffopt.guards.image_thresholds import EXACT_ARITHMETIC, ImageThresholds
from pytest_diffopt.guards.images import judge_images
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.guards.videos import frame_names, frame_ranges, video_violations, worst_frame
from pytest_diffopt.records import (
    AudioDifference,
    ImageDifference,
    ImageRecord,
    MisplacedFrame,
    RoundingNoise,
    VideoDifference,
)
from tests.unit.guards.guard_examples import SUBJECT

FRAME = ImageDifference(ssim=0.99, psnr_db=40.0, max_error=0.1, mean_error=0.005, flip=0.02)


def video(**changes: object) -> VideoDifference:
    """Return a video of four frames that equals its reference."""
    known = {
        "num_frames": 4,
        "reference_num_frames": 4,
        "height": 16,
        "width": 24,
        "reference_height": 16,
        "reference_width": 24,
        "frames": (0, 1, 2, 3),
    }
    return VideoDifference(**{**known, **changes})  # type: ignore[arg-type]  # names of fields


def record(*videos: VideoDifference, noise: RoundingNoise | None = None) -> ImageRecord:
    """Return the record of some videos, whose frames are close enough."""
    frames = sum(len(one.frames) for one in videos)
    return ImageRecord(subject=SUBJECT, differences=(FRAME,) * frames, videos=videos, noise=noise)


def moved(*pairs: tuple[int, int]) -> VideoDifference:
    """Return a video whose frames show others of the reference."""
    return video(misplaced=tuple(MisplacedFrame(frame=frame, shows=shows) for frame, shows in pairs))


@pytest.mark.parametrize(
    ("seen", "lines"),
    [
        (video(), []),
        (moved((1, 2), (2, 1)), ["frames 1 and 2 are swapped"]),
        (moved((2, 1)), ["frame 2 repeats frame 1 of the reference"]),
        (moved((2, 0)), ["frame 2 shows frame 0 of the reference"]),
        (moved((1, 2), (2, 3)), ["frames 1-2 show frames 2-3 of the reference"]),
        (
            moved((0, 3), (1, 2), (2, 1), (3, 0)),
            ["frames 0 and 3 are swapped", "frames 1 and 2 are swapped"],
        ),
        (
            video(num_frames=3, frames=(0, 1, 2), unmatched=(1,)),
            ["3 frames (4 in the reference): frame 1 of the reference is missing"],
        ),
        (
            video(num_frames=2, frames=(0, 1), unmatched=(1, 2)),
            ["2 frames (4 in the reference): frames 1-2 of the reference are missing"],
        ),
        (
            video(num_frames=5, frames=(0, 1, 2, 4), unmatched=(3,)),
            ["5 frames (4 in the reference): frame 3 is not in the reference"],
        ),
        (
            video(width=32, num_frames=6, frames=()),
            ["frames of 32 x 16 pixels (24 x 16 in the reference)", "6 frames (4 in the reference)"],
        ),
        (
            video(flicker=0.03, flicker_frame=2),
            ["flicker: the change from frame 2 to 3 differs by 0.0300 (0.02 allowed)"],
        ),
        (video(flicker=math.nan), ["flicker: the change from frame 0 to 1 differs by nan (0.02 allowed)"]),
    ],
)
def test_each_fault_is_one_line(seen: VideoDifference, lines: list[str]) -> None:
    """With the numbers of the frames."""
    assert video_violations(record(seen), ImageThresholds()) == lines


def test_of_several_videos_each_line_names_its_own() -> None:
    """And so does each frame."""
    both = record(video(), moved((0, 1), (1, 0)))

    assert video_violations(both, ImageThresholds()) == ["video 1, frames 0 and 1 are swapped"]
    assert frame_names(both)[3:5] == ["video 0, frame 3", "video 1, frame 0"]
    assert frame_names(record(video()))[1] == "frame 1"
    assert frame_names(ImageRecord(subject=SUBJECT, differences=(FRAME,))) == ["image 0"]


@pytest.mark.parametrize(
    ("noise", "thresholds", "limit"),
    [
        (None, ImageThresholds(), "0.02"),
        (None, ImageThresholds(max_mean_error=0.01), "0.01"),
        ((0.004,), ImageThresholds(), "0.0065"),
        ((0.1,), ImageThresholds(), "0.02"),
        ((0.004,), ImageThresholds(max_flicker=0.001), "0.001"),
    ],
)
def test_flicker_is_limited_by_rounding(
    noise: tuple[float, ...] | None, thresholds: ImageThresholds, limit: str
) -> None:
    """Never by more than the mean error of a frame, and by the test's own threshold before all."""
    known = None if noise is None else RoundingNoise(precision="bf16", samples=1, flicker=noise)

    assert video_violations(record(video(flicker=0.05), noise=known), thresholds) == [
        f"flicker: the change from frame 0 to 1 differs by 0.0500 ({limit} allowed)"
    ]


def test_a_missing_frame_is_judged_without_the_noise_of_the_others() -> None:
    """Fewer frames were compared than the reference has."""
    verdict = judge_images(record(video(num_frames=3, frames=(0, 1, 2), unmatched=(3,))), ImageThresholds())

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.summary.startswith("3 frames of 24 x 16 (4 of 24 x 16 in the reference), SSIM 0.9900")


def test_the_worst_frame_has_a_defect_or_the_least_similarity() -> None:
    """NaN is worse than any number."""
    worse = ImageDifference(ssim=0.5, psnr_db=20.0, max_error=0.5, mean_error=0.1, flip=0.4)
    broken = ImageDifference(ssim=math.nan, psnr_db=math.nan, max_error=0.5, mean_error=0.1, flip=0.4)
    black = ImageDifference(ssim=1.0, psnr_db=40.0, max_error=0, mean_error=0, flip=0, defects=("the image is black",))

    assert worst_frame([FRAME, worse, FRAME]) == 1
    assert worst_frame([worse, broken]) == 1
    assert worst_frame([worse, broken, black]) == 2


@pytest.mark.parametrize(("frames", "text"), [((), ""), ((3,), "3"), ((3, 4, 5, 8), "3-5, 8"), ((0, 2, 4), "0, 2, 4")])
def test_consecutive_frames_are_a_range(frames: tuple[int, ...], text: str) -> None:
    """Others are listed."""
    assert frame_ranges(frames) == text


def audio(**changes: object) -> AudioDifference:
    """Return a waveform that is close to its reference."""
    known = {
        "num_samples": 8000,
        "reference_num_samples": 8000,
        "sampling_rate_hz": 16_000,
        "reference_sampling_rate_hz": 16_000,
        "snr_db": 40.0,
        "spectral_distance": 0.01,
    }
    return AudioDifference(**{**known, **changes})  # type: ignore[arg-type]  # names of fields


@pytest.mark.parametrize(
    ("seen", "lines"),
    [
        (audio(), []),
        (audio(snr_db=math.inf, delay_samples=3), []),
        (audio(snr_db=5.0), ["audio: signal-to-noise ratio 5.0 dB (at least 12 dB required)"]),
        (audio(snr_db=math.nan), ["audio: signal-to-noise ratio nan dB (at least 12 dB required)"]),
        (
            audio(snr_db=-3.0, delay_samples=-160),
            [
                "audio: signal-to-noise ratio -3.0 dB (at least 12 dB required)",
                "audio: 10.0 ms (160 samples) earlier than the reference",
            ],
        ),
        (
            audio(snr_db=-3.0, delay_samples=160, sampling_rate_hz=0, reference_sampling_rate_hz=0),
            [
                "audio: signal-to-noise ratio -3.0 dB (at least 12 dB required)",
                "audio: 160 samples later than the reference",
            ],
        ),
        (audio(spectral_distance=0.5), ["audio: spectral distance 0.5000 (0.12 allowed)"]),
        (audio(num_samples=7000), ["audio: 7000 samples (8000 in the reference)"]),
        (audio(sampling_rate_hz=24_000), ["audio: 24000 samples per second (16000 in the reference)"]),
        (audio(defects=("the audio is silent",)), ["audio: the audio is silent"]),
    ],
)
def test_each_fault_of_audio_is_one_line(seen: AudioDifference, lines: list[str]) -> None:
    """A delay is named only where the noise is too large."""
    assert audio_violations(ImageRecord(subject=SUBJECT, differences=(), audio=(seen,)), AudioThresholds()) == lines


def test_audio_is_limited_by_rounding() -> None:
    """1.5 times its relative error and its spectral distance."""
    noise = RoundingNoise(precision="bf16", samples=1, audio_errors=(0.01,), spectral_distances=(0.004,))
    seen = ImageRecord(subject=SUBJECT, differences=(), audio=(audio(snr_db=30.0),), noise=noise)

    assert audio_violations(seen, AudioThresholds()) == [
        "audio: signal-to-noise ratio 30.0 dB (at least 35.92 dB required)",
        "audio: spectral distance 0.0100 (0.007 allowed)",
    ]


def test_exact_images_have_exact_audio() -> None:
    """Float32 on the CPU; a test that sets thresholds of images has the usual ones of audio."""
    assert default_audio_thresholds(EXACT_ARITHMETIC) is EXACT_AUDIO
    assert default_audio_thresholds(ImageThresholds()) == AudioThresholds()


def test_another_denoiser_in_a_step_is_a_failure_by_itself() -> None:
    """Where both have both; the frames may be as close as they are."""
    seen = ImageRecord(
        subject=SUBJECT,
        differences=(FRAME,),
        denoisers=("transformer", "transformer", "transformer_2"),
        reference_denoisers=("transformer", "transformer_2", "transformer_2"),
    )
    verdict = judge_images(seen, ImageThresholds())

    assert verdict.outcome is Outcome.REGRESSED
    assert verdict.explanation[:2] == (
        "diffopt: another denoiser ran than in the reference",
        "  step 1 ran transformer, and transformer_2 in the reference",
    )


@pytest.mark.parametrize("reference", [(), ("unet",) * 3, ("transformer", "transformer")])
def test_a_reference_with_other_denoisers_or_fewer_steps_is_no_failure(reference: tuple[str, ...]) -> None:
    """A stored one, another architecture, and a scheduler with fewer steps."""
    seen = ImageRecord(
        subject=SUBJECT, differences=(FRAME,), denoisers=("transformer",) * 3, reference_denoisers=reference
    )

    assert judge_images(seen, ImageThresholds()).outcome is Outcome.PASSED
