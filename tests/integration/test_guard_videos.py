"""Videos and audio that differ from their references fail, in the way in which a user meets each fault."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CONFTEST = """
import pytest
import small_video_pipeline

@pytest.fixture(scope="module")
def optimized_pipeline():
    return small_video_pipeline.build()

@pytest.fixture(scope="module")
def reference_pipeline():
    return small_video_pipeline.build()

@pytest.fixture
def pipeline_inputs():
    return small_video_pipeline.inputs()
"""
CASE = """
import numpy as np
import torch
from pytest_diffopt import AudioThresholds, ImageThresholds
from pytest_diffopt import assert_images_similar, assert_repeatable, assert_same_images
from small_video_pipeline import Changed, WithoutBar, build, inputs

def taken(*frames):
    return lambda video: video[:, list(frames)]

def test_video(optimized_pipeline, reference_pipeline, pipeline_inputs):
    {call}
"""
FAULT = "assert_same_images(Changed(optimized_pipeline, {change}), reference_pipeline, **pipeline_inputs)"
SEEN = "seen in pipeline Changed (weights: the user's own); pixel values are in [[]0, 1[]]"
AFTER_THE_LOOP = "  the latents of all 4 steps agree: the videos differ after the last step"
HINT = "to accept this: pass thresholds=ImageThresholds(...) with the reason in a comment"


@pytest.fixture
def video(project: pytest.Pytester) -> pytest.Pytester:
    """Make a project whose pipeline returns video and audio."""
    shutil.copy(Path(__file__).parent / "small_video_pipeline.py", project.path)
    project.makeconftest(CONFTEST)
    return project


def run(project: pytest.Pytester, call: str, *options: str) -> pytest.RunResult:
    """Run one assertion."""
    project.makepyfile(test_it=CASE.format(call=call))
    return project.runpytest_inprocess(*options)


def failed(project: pytest.Pytester, call: str, facts: list[str]) -> pytest.RunResult:
    """Run one assertion that fails with these consecutive lines."""
    result = run(project, call)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(facts, consecutive=True)
    return result


@pytest.mark.parametrize(
    "call",
    [
        "assert_same_images(optimized_pipeline, reference_pipeline, **pipeline_inputs)",
        "assert_same_images(optimized_pipeline, reference_pipeline, output_type='pt', **pipeline_inputs)",
        "assert_same_images(optimized_pipeline.to(torch.bfloat16), reference_pipeline, **pipeline_inputs)",
        "assert_repeatable(optimized_pipeline, **pipeline_inputs)",
        "assert_images_similar(optimized_pipeline(**inputs()), reference_pipeline(**inputs()))",
        "assert_images_similar(optimized_pipeline(**inputs()).frames[0], reference_pipeline(**inputs()).frames[0])",
        "assert_same_images(build(WithoutBar), reference_pipeline, **pipeline_inputs)",
    ],
    ids=["arrays", "tensors", "bfloat16", "repeated", "outputs", "frames as images", "without a bar"],
)
def test_the_same_video_passes(video: pytest.Pytester, call: str) -> None:
    """In every form of output, and with the rounding of another precision."""
    run(video, call).assert_outcomes(passed=1)


def test_a_dropped_frame_fails(video: pytest.Pytester) -> None:
    """It is named; the frames that are left are equal."""
    failed(
        video,
        FAULT.format(change="frames=taken(0, 1, 2, 4, 5, 6, 7)"),
        [
            "diffopt: the frames differ from the reference as a sequence",
            "  7 frames (8 in the reference): frame 3 of the reference is missing",
            AFTER_THE_LOOP,
            SEEN,
            HINT,
        ],
    )


@pytest.mark.parametrize(
    ("order", "fact"),
    [
        ("0, 1, 2, 4, 3, 5, 6, 7", "frames 3 and 4 are swapped"),
        ("0, 1, 2, 4, 5, 6, 7, 7", "frames 3-6 show frames 4-7 of the reference"),
        ("0, 1, 1, 3, 4, 5, 6, 7", "frame 2 repeats frame 1 of the reference"),
        ("0, 1, 2, 5, 4, 5, 6, 7", "frame 3 shows frame 5 of the reference"),
    ],
    ids=["swapped", "dropped, the last repeated", "repeated", "another"],
)
def test_frames_in_another_order_fail(video: pytest.Pytester, order: str, fact: str) -> None:
    """Whatever the similarity of consecutive frames is."""
    wide = "thresholds=ImageThresholds(min_ssim=0, min_psnr_db=0, max_error=1, max_mean_error=1, max_flip=1)"
    call = FAULT.format(change=f"frames=taken({order})").replace("**pipe", f"{wide}, **pipe")
    failed(
        video, call, ["diffopt: the frames differ from the reference as a sequence", f"  {fact}", AFTER_THE_LOOP, SEEN]
    )


def test_the_worst_frame_is_named(video: pytest.Pytester) -> None:
    """Its figures are shown, and the numbers of the others that fail."""
    failed(
        video,
        FAULT.format(
            change="frames=lambda video: video * np.array([1, 1, 0.5, 1, 0.6, 0.6, 1, 1])[:, None, None, None]"
        ),
        [
            "diffopt: 3 of 8 frames differ from the reference",
            "  flicker: the change from frame 1 to 2 differs by 0.1* (0.02 allowed)",
            "  frame 2, the worst: SSIM 0.* (at least 0.94 required)",
            "  frame 2, the worst: PSNR * dB (at least 28 dB required)",
            "  frame 2, the worst: mean error 0.1* (0.02 allowed)",
            "  frame 2, the worst: FLIP 0.* (0.18 allowed)",
            "  also past a threshold: frames 4-5",
        ],
    )


def test_flicker_fails_where_each_frame_passes(video: pytest.Pytester) -> None:
    """Every frame is within the thresholds of an image, alternately brighter and darker."""
    failed(
        video,
        FAULT.format(change="frames=lambda video: video + 0.015 * np.array([1, -1] * 4)[:, None, None, None]"),
        [
            "diffopt: the frames differ from the reference as a sequence",
            "  flicker: the change from frame 0 to 1 differs by 0.0300 (0.02 allowed)",
            AFTER_THE_LOOP,
            SEEN,
        ],
    )


def test_frames_of_another_size_fail(video: pytest.Pytester) -> None:
    """They cannot be compared pixel by pixel."""
    failed(
        video,
        FAULT.format(change="frames=lambda video: video[:, :, :20]"),
        [
            "diffopt: the frames differ from the reference as a sequence",
            "  frames of 24 x 20 pixels (24 x 24 in the reference)",
            AFTER_THE_LOOP,
            SEEN,
        ],
    )


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        (
            "audio=lambda audio: torch.roll(audio, 80, -1)",
            [
                "  audio: signal-to-noise ratio -* dB (at least 12 dB required)",
                "  audio: spectral distance 0.* (0.12 allowed)",
                "  audio: 10.0 ms (80 samples) later than the reference",
            ],
        ),
        ("audio=lambda audio: audio[..., :1900]", ["  audio: 1900 samples (2000 in the reference)"]),
        (
            "audio=lambda audio: audio + 0.2 * torch.randn(audio.shape, generator=torch.Generator().manual_seed(0))",
            [
                "  audio: signal-to-noise ratio * dB (at least 12 dB required)",
                "  audio: spectral distance 0.* (0.12 allowed)",
            ],
        ),
        (
            "audio=lambda audio: audio * 0",
            [
                "  audio: the audio is silent",
                "  audio: signal-to-noise ratio 0.0 dB (at least 12 dB required)",
                "  audio: spectral distance 1.0000 (0.12 allowed)",
            ],
        ),
    ],
    ids=["later by 10 ms", "shorter", "noisy", "silent"],
)
def test_other_audio_fails(video: pytest.Pytester, change: str, facts: list[str]) -> None:
    """The video is the same."""
    failed(video, FAULT.format(change=change), ["diffopt: the audio differs from the reference", *facts, SEEN, HINT])


def test_a_test_may_allow_other_audio(video: pytest.Pytester) -> None:
    """With thresholds of its own."""
    allowed = "audio_thresholds=AudioThresholds(min_snr_db=-10, max_spectral_distance=0.5), **pipe"
    call = FAULT.format(change="audio=lambda audio: torch.roll(audio, 80, -1)").replace("**pipe", allowed)
    run(video, call).assert_outcomes(passed=1)


def test_audio_at_another_rate_fails(video: pytest.Pytester) -> None:
    """The same samples are played faster."""
    call = "optimized_pipeline.vocoder.register_to_config(sampling_rate=16000); " + FAULT.format(change="")
    failed(
        video,
        call,
        [
            "diffopt: the audio differs from the reference",
            "  audio: 16000 samples per second (8000 in the reference)",
            SEEN,
        ],
    )


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ("frames=lambda video: video + next(COUNT)", ["diffopt: the same call gave a different video the second time"]),
        ("audio=lambda audio: audio + next(COUNT)", ["diffopt: the same call gave different audio the second time"]),
    ],
    ids=["video", "audio"],
)
def test_a_call_that_changes_is_not_repeatable(video: pytest.Pytester, change: str, lines: list[str]) -> None:
    """Each part of the output is compared."""
    call = f"COUNT = iter([0, 1]); assert_repeatable(Changed(optimized_pipeline, {change}), **pipeline_inputs)"
    failed(video, call, lines)


@pytest.mark.parametrize("kind", ["images=video", "audios=np.zeros(100)"])
def test_outputs_of_other_kinds_are_an_error(video: pytest.Pytester, kind: str) -> None:
    """A video cannot be compared with images, or with audio alone."""
    call = f"assert_images_similar(optimized_pipeline(**inputs()), dict({kind}))".replace(
        "=video", "=np.ones((1, 24, 24, 3))"
    )
    result = run(video, call)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*both results must be of the same kinds, got: frames and audio; and: *"])


def test_a_boundary_that_is_off_by_one_step_is_named(video: pytest.Pytester) -> None:
    """With the step that ran the other denoiser, before anything is seen in the frames."""
    call = "assert_same_images(build(boundary_ratio=0.75), reference_pipeline, **pipeline_inputs)"
    result = run(video, call)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  step 2 ran transformer, and transformer_2 in the reference"])


def test_the_stored_video_is_compared(video: pytest.Pytester) -> None:
    """Its frames are stored as images, and its audio as samples; a swap and a delay fail."""
    test = """
from small_video_pipeline import Changed
import torch

def test_video(optimized_pipeline, pipeline_inputs, image_baseline):
    image_baseline.check({target}, **pipeline_inputs)
"""
    video.makepyfile(test_it=test.format(target="optimized_pipeline"))
    video.runpytest_inprocess("--diffopt-update=missing").assert_outcomes(passed=1)
    video.runpytest_inprocess().assert_outcomes(passed=1)
    stored = [path.suffix for path in (video.path / "baselines/cpu/test_it").iterdir()]

    assert sorted(stored) == [".json", *[".png"] * 8, ".safetensors", ".safetensors"]

    video.makepyfile(test_it=test.format(target="changed(optimized_pipeline)") + CHANGED_IN_PLACE)
    result = video.runpytest_inprocess()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  frames 3 and 4 are swapped", "  audio: signal-to-noise ratio * dB *"])


CHANGED_IN_PLACE = """
def changed(pipeline):
    decode = pipeline.vae.decode
    pipeline.vae.decode = lambda latents: decode(latents)[:, :, [0, 1, 2, 4, 3, 5, 6, 7]]
    forward = pipeline.vocoder.forward
    pipeline.vocoder.forward = lambda latents: torch.roll(forward(latents), 80, -1)
    return pipeline
"""


def test_a_report_has_a_filmstrip_and_a_waveform(video: pytest.Pytester) -> None:
    """All frames in one image, whose rows are the video, the reference and the difference; and an animation."""
    result = run(video, FAULT.format(change="frames=taken(0, 1, 2, 4, 3, 5, 6, 7)"), "--diffopt-report=report")

    result.assert_outcomes(failed=1)
    (folder,) = (video.path / "report/images").iterdir()
    with Image.open(folder / "0-video-0-filmstrip.png") as opened:
        strip = np.asarray(opened.convert("RGB"))
    assert strip.shape == (3 * 24, 8 * 24, 3)
    ours, theirs, difference = np.split(strip, 3)
    columns = [np.array_equal(*pair) for pair in zip(np.split(ours, 8, 1), np.split(theirs, 8, 1), strict=True)]
    assert columns == [True, True, True, False, False, True, True, True]
    assert [bool(one.max() > 40) for one in np.split(difference, 8, 1)] == [not same for same in columns]
    with Image.open(folder / "0-video-0-animation.webp") as animation:
        assert (getattr(animation, "n_frames", 1), animation.size) == (8, (48, 24))
    page = (video.path / "report/index.html").read_text()
    assert 'class="filmstrip" data-columns="8"' in page
    assert "worst: frame" in page
    assert "SSIM of each frame" in page
    assert "Root mean square of waveform 0" in page
