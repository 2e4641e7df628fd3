"""What comes of an assertion is told from what it raised."""

from collections.abc import Callable

import pytest

from benchmarks.injected_faults.guarding import Answer, Colour, Guard, ask


def red() -> None:
    """Fail as a guard does."""
    pytest.fail("diffopt: 1 of 1 picture differs\n  picture 0: SSIM 0.5", pytrace=False)


def unproven() -> None:
    """Skip as a guard does."""
    pytest.skip("diffopt: nothing was compared")


def raising() -> None:
    """Raise as a broken pipeline does."""
    msg = "shapes differ\nsecond line"
    raise RuntimeError(msg)


@pytest.mark.parametrize(
    ("question", "colour", "said"),
    [
        (lambda: None, Colour.GREEN, ""),
        (red, Colour.RED, "1 of 1 picture differs"),
        (unproven, Colour.UNPROVEN, "nothing was compared"),
        (raising, Colour.RAISED, "RuntimeError: shapes differ"),
    ],
)
def test_an_answer_is_a_colour_and_one_line(question: Callable[[], None], colour: Colour, said: str) -> None:
    """A failure keeps its headline alone."""
    assert ask(Guard.PICTURE, question) == Answer(guard=Guard.PICTURE, colour=colour, said=said)


def test_red_and_raised_turn_a_test_red() -> None:
    """Skipped does not, for nothing was proven."""
    caught = [colour for colour in Colour if Answer(guard=Guard.PICTURE, colour=colour).is_caught]

    assert caught == [Colour.RED, Colour.RAISED]
