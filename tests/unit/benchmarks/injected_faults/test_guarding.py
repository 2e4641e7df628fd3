"""What comes of an assertion is told from what it raised."""

from collections.abc import Callable

import pytest

from benchmarks.injected_faults.guarding import Answer, Color, Guard, ask


def red() -> None:
    """Fail as a guard does."""
    pytest.fail("diffopt: 1 of 1 image differs\n  image 0: SSIM 0.5", pytrace=False)


def unproven() -> None:
    """Skip as a guard does."""
    pytest.skip("diffopt: nothing was compared")


def raising() -> None:
    """Raise as a broken pipeline does."""
    msg = "shapes differ\nsecond line"
    raise RuntimeError(msg)


@pytest.mark.parametrize(
    ("question", "color", "said"),
    [
        (lambda: None, Color.GREEN, ""),
        (red, Color.RED, "1 of 1 image differs"),
        (unproven, Color.UNPROVEN, "nothing was compared"),
        (raising, Color.RAISED, "RuntimeError: shapes differ"),
    ],
)
def test_an_answer_is_a_color_and_one_line(question: Callable[[], None], color: Color, said: str) -> None:
    """A failure keeps its headline alone."""
    assert ask(Guard.IMAGE, question) == Answer(guard=Guard.IMAGE, color=color, said=said)


def test_red_and_raised_turn_a_test_red() -> None:
    """Skipped does not, for nothing was proven."""
    caught = [color for color in Color if Answer(guard=Guard.IMAGE, color=color).is_caught]

    assert caught == [Color.RED, Color.RAISED]
