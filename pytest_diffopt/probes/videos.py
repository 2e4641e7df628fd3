"""Differences of videos from their references: order, number and size of frames, and flicker."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.image_arrays import Pixels
from pytest_diffopt.probes.images import compare_images
from pytest_diffopt.records import ImageDifference, ImageRecord, MisplacedFrame, Subject, VideoDifference

# Root mean squares of frames' differences: [frame of the video, frame of the reference].
_Distances = npt.NDArray[np.float64]

# A frame belongs elsewhere if it is twice as close to another frame; rounding alone moves no frame that far.
_CLOSER = 0.5
# 66 dB: smaller differences are invisible, and frames of a still scene differ by less.
_LEAST_DISTANCE = 5e-4


def compare_videos(videos: Pixels, reference: Pixels, subject: Subject, *, with_lpips: bool = False) -> ImageRecord:
    """Compare each video with its reference, frame by frame and as a sequence.

    Videos with another number of frames are aligned first: the frames of the shorter one are compared with those of the
    longer one that they resemble most, in their order.

    Args:
        videos: float in [0, 1], shape (videos, frames, height, width, channels).
        reference: the same number of videos with the same channels.
        subject: the pipeline that generated the videos.
        with_lpips: also measure LPIPS of each frame.

    Raises:
        ProbeError: the numbers of videos or their channels differ, the frames are smaller than SSIM's window, or LPIPS
            cannot be measured.
    """
    if (len(videos), videos.shape[-1]) != (len(reference), reference.shape[-1]):
        shapes = f"{videos.shape} and {reference.shape}"
        msg = f"videos and references must have the same number of videos and channels, got: {shapes}"
        raise ProbeError(msg)
    compared = [_compared(*pair, subject, with_lpips=with_lpips) for pair in zip(videos, reference, strict=True)]
    return ImageRecord(
        subject=subject,
        differences=tuple(one for differences, _ in compared for one in differences),
        videos=tuple(video for _, video in compared),
    )


def _compared(
    video: Pixels, reference: Pixels, subject: Subject, *, with_lpips: bool
) -> tuple[tuple[ImageDifference, ...], VideoDifference]:
    found = VideoDifference(
        num_frames=len(video),
        reference_num_frames=len(reference),
        height=video.shape[1],
        width=video.shape[2],
        reference_height=reference.shape[1],
        reference_width=reference.shape[2],
    )
    if video.shape[1:] != reference.shape[1:]:
        return (), found
    distances = _distances(video, reference)
    ours, theirs = _aligned(distances)
    frames = compare_images(video[list(ours)], reference[list(theirs)], subject, with_lpips=with_lpips).differences
    found = replace(found, frames=ours)
    if not found.has_same_shape:
        longest, known = max(len(video), len(reference)), set(ours if len(video) > len(reference) else theirs)
        return frames, replace(found, unmatched=tuple(one for one in range(longest) if one not in known))
    flicker, first = _flicker(video, reference)
    return frames, replace(found, flicker=flicker, flicker_frame=first, misplaced=_misplaced(distances))


def _distances(video: Pixels, reference: Pixels) -> _Distances:
    ours, theirs = (np.nan_to_num(one, posinf=1.0, neginf=0.0).reshape(len(one), -1) for one in (video, reference))
    return np.stack([np.sqrt(np.mean((theirs - frame) ** 2, axis=1)) for frame in ours])


def _aligned(distances: _Distances) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the frames of both videos that belong together: those of the shorter one, each with a later one."""
    if len(distances) > len(distances[0]):
        theirs, ours = _aligned(distances.T)
        return ours, theirs
    short, long = distances.shape
    # cost[i, j]: the least sum of distances of the first i frames of the shorter video to i of the first j of the other
    cost = np.full((short + 1, long + 1), np.inf)
    cost[0] = 0.0
    for i in range(1, short + 1):
        for j in range(i, long + 1):
            cost[i, j] = min(cost[i, j - 1], cost[i - 1, j - 1] + distances[i - 1, j - 1])
    chosen, j = [], long
    for i in range(short, 0, -1):
        while j > i and cost[i, j] == cost[i, j - 1]:
            j -= 1
        j -= 1
        chosen.append(j)
    return tuple(range(short)), tuple(reversed(chosen))


def _misplaced(distances: _Distances) -> tuple[MisplacedFrame, ...]:
    found = []
    for frame, row in enumerate(distances):
        nearest = int(np.argmin(row))
        if row[frame] > _LEAST_DISTANCE and row[nearest] < _CLOSER * row[frame]:
            found.append(MisplacedFrame(frame=frame, shows=nearest))
    return tuple(found)


def _flicker(video: Pixels, reference: Pixels) -> tuple[float, int]:
    """Return the largest mean difference of the changes between frames, and the first of its two frames."""
    if len(video) == 1:
        return 0.0, 0
    with np.errstate(invalid="ignore"):  # NaN and infinite values are reported as defects
        error = video - reference
    means = [float(np.abs(later - earlier).mean()) for earlier, later in pairwise(error)]
    # NaN is the worst, and `argmax` returns the first NaN
    first = int(np.argmax(means))
    return means[first], first
