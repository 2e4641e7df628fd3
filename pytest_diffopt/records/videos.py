"""Differences between videos: their frames' order, number and size, and flicker."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFiles:
    """Files of one compared video, relative to the folder of the report or, without a report, to pytest's cache.

    Attributes:
        filmstrip: a PNG of all frames in columns of equal width; its rows are the video, its reference, and FLIP of
            each pixel.
        animation: an animated WebP of the video beside its reference.
        columns: the number of frames in the filmstrip.
    """

    filmstrip: str
    animation: str
    columns: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MisplacedFrame:
    """A frame that is much closer to another frame of the reference than to its own.

    Attributes:
        frame: its number in the video, from 0.
        shows: the number of the reference's frame that it shows.
    """

    frame: int
    shows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoDifference:
    """Difference of one video from its reference, beyond the difference of each frame.

    Attributes:
        num_frames: the number of frames.
        reference_num_frames: the number of the reference's frames.
        height: height of a frame, in pixels.
        width: width of a frame, in pixels.
        reference_height: height of the reference's frames.
        reference_width: width of the reference's frames.
        frames: the frames that were compared, in the order of the record's `differences`; empty where the sizes differ.
        flicker: the largest mean absolute difference between the change from one frame to the next and the same change
            in the reference, pixel values in [0, 1]; 0 where the numbers of frames or the sizes differ.
        flicker_frame: the first of the two frames with the largest flicker.
        misplaced: the frames that show another frame of the reference.
        unmatched: where the numbers of frames differ, the frames of the longer one that the shorter one does not have.
        files: files of both; None when they are not kept.
    """

    num_frames: int
    reference_num_frames: int
    height: int
    width: int
    reference_height: int
    reference_width: int
    frames: tuple[int, ...] = ()
    flicker: float = 0.0
    flicker_frame: int = 0
    misplaced: tuple[MisplacedFrame, ...] = ()
    unmatched: tuple[int, ...] = ()
    files: VideoFiles | None = None

    @property
    def has_same_shape(self) -> bool:
        """Whether both have the same number of frames, of the same size."""
        ours = (self.num_frames, self.height, self.width)
        return ours == (self.reference_num_frames, self.reference_height, self.reference_width)
