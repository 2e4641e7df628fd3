"""What is wrong with a video beyond its frames: their number, size and order, and flicker."""

import math
from collections.abc import Iterable, Iterator, Sequence

from pytest_diffopt.guards.failure_text import allowed
from pytest_diffopt.guards.image_noise import largest_flicker
from pytest_diffopt.guards.image_thresholds import ImageThresholds
from pytest_diffopt.records import ImageDifference, ImageRecord, MisplacedFrame, VideoDifference


def frame_names(record: ImageRecord) -> list[str]:
    """Return a name for each entry of a record's `differences`: `image 0`, `frame 0`, or `video 1, frame 0`."""
    if not record.videos:
        return [f"image {number}" for number in range(len(record.differences))]
    return [
        f"{prefix}frame {frame}"
        for video, prefix in zip(record.videos, _prefixes(record), strict=True)
        for frame in video.frames
    ]


def video_violations(record: ImageRecord, thresholds: ImageThresholds) -> list[str]:
    """Return what is wrong with each video of a record as a sequence of frames.

    Args:
        record: the comparison.
        thresholds: the allowed differences. The change from one frame to the next may differ as much as a frame may.
    """
    lines = []
    for number, (video, prefix) in enumerate(zip(record.videos, _prefixes(record), strict=True)):
        limit = largest_flicker(thresholds, record.noise, number)
        lines += [f"{prefix}{line}" for line in _violations(video, limit)]
    return lines


def worst_frame(differences: Sequence[ImageDifference]) -> int:
    """Return the index of the worst difference: one with a defect, then the one with the least SSIM."""

    def badness(difference: ImageDifference) -> tuple[bool, float]:
        return bool(difference.defects), -difference.ssim if math.isfinite(difference.ssim) else math.inf

    return max(range(len(differences)), key=lambda number: badness(differences[number]))


def frame_ranges(frames: Iterable[int]) -> str:
    """Write numbers of frames, consecutive ones as a range: `3-5, 8`."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _prefixes(record: ImageRecord) -> list[str]:
    is_one = len(record.videos) == 1
    return ["" if is_one else f"video {number}, " for number in range(len(record.videos))]


def _violations(video: VideoDifference, limit: float) -> Iterator[str]:
    sizes = [(video.width, video.height), (video.reference_width, video.reference_height)]
    if sizes[0] != sizes[1]:
        ours, theirs = (f"{width} x {height}" for width, height in sizes)
        yield f"frames of {ours} pixels ({theirs} in the reference)"
    if video.num_frames != video.reference_num_frames:
        yield f"{video.num_frames} frames ({video.reference_num_frames} in the reference){_unmatched(video)}"
    yield from _order(video.misplaced)
    if not video.flicker <= limit:  # negated, so that NaN is a violation
        pair = f"{video.flicker_frame} to {video.flicker_frame + 1}"
        yield f"flicker: the change from frame {pair} differs by {video.flicker:.4f} {allowed(f'{limit:.4g}')}"


def _unmatched(video: VideoDifference) -> str:
    if not video.unmatched:
        return ""
    plural = "frame" if len(video.unmatched) == 1 else "frames"
    ranges = frame_ranges(video.unmatched)
    if video.num_frames < video.reference_num_frames:
        return f": {plural} {ranges} of the reference {'is' if plural == 'frame' else 'are'} missing"
    return f": {plural} {ranges} {'is' if plural == 'frame' else 'are'} not in the reference"


def _order(misplaced: Sequence[MisplacedFrame]) -> Iterator[str]:
    """Yield swapped, repeated and shifted frames; consecutive frames with the same shift are one line."""
    shown = {one.frame: one.shows for one in misplaced}
    swapped = sorted({tuple(sorted(pair)) for pair in shown.items() if shown.get(pair[1]) == pair[0]})
    yield from (f"frames {first} and {second} are swapped" for first, second in swapped)
    others = [one for one in misplaced if shown.get(one.shows) != one.frame]
    for run in _shifted_runs(others):
        first, last = run[0], run[-1]
        if len(run) == 1:
            verb = "repeats" if first.shows == first.frame - 1 else "shows"
            yield f"frame {first.frame} {verb} frame {first.shows} of the reference"
        else:
            yield f"frames {first.frame}-{last.frame} show frames {first.shows}-{last.shows} of the reference"


def _shifted_runs(misplaced: Sequence[MisplacedFrame]) -> list[list[MisplacedFrame]]:
    runs: list[list[MisplacedFrame]] = []
    for one in misplaced:
        previous = runs[-1][-1] if runs else None
        if previous and (one.frame, one.shows) == (previous.frame + 1, previous.shows + 1):
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs
