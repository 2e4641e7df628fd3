"""Moving scenes: one shape that crosses a part of the image at a constant speed, and the caption of the video."""

import numpy as np
import pytest

from pytest_diffopt.pipelines.moving_scenes import Motion, MovingScene, motion_words
from pytest_diffopt.pipelines.scenes import Shape
from pytest_diffopt.pipelines.tiny import tiny_t5_tokenizer


def moving(motion: Motion) -> MovingScene:
    """Return a red circle on a blue background."""
    return MovingScene(shape=Shape.CIRCLE, color="red", background="blue", motion=motion)


def centres(frames: np.ndarray) -> np.ndarray:
    """Return the centre of the red shape in each frame, (x, y) as fractions of the width."""
    rows = [np.nonzero(frame[..., 0] > frame[..., 2]) for frame in frames]
    return np.array([((columns.mean() + 0.5) / 32, (lines.mean() + 0.5) / 32) for lines, columns in rows])


@pytest.mark.parametrize(
    ("motion", "caption"),
    [
        (Motion.RIGHT, "a red circle on a blue background, moving right"),
        (Motion.UP, "a red circle on a blue background, moving up"),
        (Motion.STILL, "a red circle on a blue background"),
    ],
)
def test_the_caption_names_the_motion(motion: Motion, caption: str) -> None:
    """That of a still scene is the caption of an image."""
    assert moving(motion).caption == caption


@pytest.mark.parametrize(
    ("motion", "travelled"),
    [
        (Motion.LEFT, (-0.24, 0)),
        (Motion.RIGHT, (0.24, 0)),
        (Motion.UP, (0, -0.24)),
        (Motion.DOWN, (0, 0.24)),
        (Motion.STILL, (0, 0)),
    ],
)
def test_the_shape_moves_at_a_constant_speed_through_the_middle(motion: Motion, travelled: tuple[float, float]) -> None:
    """From frame to frame by an eighth of the way, within a pixel."""
    frames = moving(motion).frames()
    expected = np.array([0.5, 0.5]) + np.linspace(-0.5, 0.5, 9)[:, None] * np.array(travelled)

    assert frames.shape == (9, 32, 32, 3)
    assert np.abs(centres(frames) - expected).max() < 0.5 / 32


@pytest.mark.parametrize("motion", list(Motion))
def test_no_frame_cuts_the_shape_off(motion: Motion) -> None:
    """The border of each frame is background."""
    frames = moving(motion).frames()
    border = np.concatenate([frames[:, :2].reshape(-1, 3), frames[:, :, -2:].reshape(-1, 3)])

    assert (border == (45, 85, 215)).all()


def test_every_word_of_a_motion_is_one_token() -> None:
    """A tiny text encoder then need not learn to spell."""
    assert all(len(tiny_t5_tokenizer().tokenize(word)) == 1 for word in motion_words())
