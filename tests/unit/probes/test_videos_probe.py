"""A video is compared with its reference frame by frame and as a sequence."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.videos import compare_videos
from pytest_diffopt.records import MisplacedFrame, Subject, VideoDifference

SUBJECT = Subject(pipeline="wan-t2v")
FRAMES, SIDE = 8, 24
Video = npt.NDArray[np.float64]


def moving(*, start: int = 0, number: int = FRAMES) -> Video:
    """Return a video of a square that moves by one pixel per frame, shape (1, number, side, side, 3)."""
    video = np.full((1, number, SIDE, SIDE, 3), 0.2)
    for frame in range(number):
        video[0, frame, 6:14, start + frame : start + frame + 8] = (0.9, 0.5, 0.1)
    return video


def noisy(video: Video, size: float) -> Video:
    """Return a video with the noise of rounding."""
    return np.clip(video + size * np.random.default_rng(1).standard_normal(video.shape), 0, 1)


def taken(*frames: int) -> Video:
    """Return these frames of the moving video."""
    return moving()[:, list(frames)]


def compared(video: Video) -> VideoDifference:
    """Compare one video with the moving one."""
    (found,) = compare_videos(video, moving(), SUBJECT).videos
    return found


def places(found: VideoDifference) -> list[tuple[int, int]]:
    """Return the misplaced frames and what they show."""
    return [(one.frame, one.shows) for one in found.misplaced]


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
def test_noise_moves_no_frame(noise: float) -> None:
    """Each frame is closest to its own, and the flicker is that of the noise."""
    record = compare_videos(noisy(moving(), noise), moving(), SUBJECT)
    (found,) = record.videos

    assert not found.misplaced
    assert not found.unmatched
    assert found.frames == tuple(range(FRAMES))
    assert len(record.differences) == FRAMES
    assert found.flicker <= 1.7 * noise


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_two_swapped_frames_are_found(noise: float) -> None:
    """Each shows the other, also under noise."""
    found = compared(noisy(taken(0, 1, 3, 2, 4, 5, 6, 7), noise))

    assert places(found) == [(2, 3), (3, 2)]


def test_a_frame_dropped_where_the_number_stays_is_found() -> None:
    """All later frames come one too early."""
    assert places(compared(taken(0, 1, 3, 4, 5, 6, 7, 7))) == [(2, 3), (3, 4), (4, 5), (5, 6), (6, 7)]


def test_a_repeated_frame_is_found() -> None:
    """It shows the one before it."""
    assert places(compared(taken(0, 1, 1, 3, 4, 5, 6, 7))) == [(2, 1)]


@pytest.mark.parametrize("dropped", range(FRAMES))
def test_a_missing_frame_is_named(dropped: int) -> None:
    """The frames that are left are aligned with their own, and so are equal."""
    record = compare_videos(np.delete(moving(), dropped, axis=1), moving(), SUBJECT)
    (found,) = record.videos

    assert (found.num_frames, found.reference_num_frames) == (FRAMES - 1, FRAMES)
    assert found.unmatched == (dropped,)
    assert not found.has_same_shape
    assert {one.max_error for one in record.differences} == {0.0}


def test_additional_frames_are_named() -> None:
    """Those of the video that the reference does not have."""
    found = compared(np.insert(moving(), 3, 0.5, axis=1))

    assert found.unmatched == (3,)
    assert found.frames == (0, 1, 2, 4, 5, 6, 7, 8)


def test_frames_of_another_size_are_not_compared() -> None:
    """Both sizes are recorded."""
    record = compare_videos(moving()[:, :, :20], moving(), SUBJECT)
    (found,) = record.videos

    assert not record.differences
    assert not found.frames
    assert (found.height, found.width, found.reference_height) == (20, SIDE, SIDE)
    assert not found.has_same_shape


def test_flicker_is_the_difference_of_changes() -> None:
    """One brighter frame changes twice; a video that is brighter throughout does not flicker."""
    flickering = moving()
    flickering[0, 4] += 0.015
    found = compared(flickering)

    assert found.flicker == pytest.approx(0.015)
    assert found.flicker_frame == 3
    assert compared(moving() + 0.015).flicker == pytest.approx(0.0)


def test_a_still_scene_has_no_order() -> None:
    """Equal frames are interchangeable."""
    still = np.repeat(moving()[:, :1], 4, axis=1)
    (found,) = compare_videos(noisy(still, 0.01)[:, ::-1], still, SUBJECT).videos

    assert found.misplaced == ()


def test_one_frame_has_no_flicker() -> None:
    """An image model of videos returns one."""
    (found,) = compare_videos(moving(number=1), moving(number=1), SUBJECT).videos

    assert (found.flicker, found.misplaced) == (0.0, ())


def test_nan_is_flicker_and_a_defect() -> None:
    """It does not hide the rest."""
    broken = moving()
    broken[0, 2, 0, 0] = np.nan
    record = compare_videos(broken, moving(), SUBJECT)

    assert np.isnan(record.videos[0].flicker)
    assert record.differences[2].defects == ("the image holds 3 values that are NaN or infinite",)
    assert record.videos[0].misplaced == ()


def test_each_video_of_a_batch_is_compared() -> None:
    """The second one has two swapped frames."""
    batch = np.concatenate([moving(), taken(1, 0, 2, 3, 4, 5, 6, 7)])
    record = compare_videos(batch, np.concatenate([moving()] * 2), SUBJECT)

    assert [one.misplaced for one in record.videos] == [
        (),
        (MisplacedFrame(frame=0, shows=1), MisplacedFrame(frame=1, shows=0)),
    ]
    assert len(record.differences) == 2 * FRAMES


@pytest.mark.parametrize("other", [np.concatenate([moving()] * 2), moving()[..., :1]])
def test_other_numbers_of_videos_and_channels_are_refused(other: Any) -> None:
    """Nothing is dropped silently."""
    with pytest.raises(ProbeError, match="videos and references must have the same number of videos and channels"):
        compare_videos(moving(), other, SUBJECT)
