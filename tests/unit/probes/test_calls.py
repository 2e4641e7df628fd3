"""The same call, again and again."""

import torch

from pytest_diffopt.probes.calls import repeatable_call


def draw(*generators: torch.Generator, more: object = (), **named: torch.Generator) -> list[float]:
    """Use every generator up a little."""
    listed = [one for one in (more if isinstance(more, (list, tuple)) else ()) if isinstance(one, torch.Generator)]
    return [torch.rand(1, generator=one).item() for one in (*generators, *listed, *named.values())]


def seeded(seed: int) -> torch.Generator:
    """Make a generator."""
    return torch.Generator().manual_seed(seed)


def test_generators_are_set_back_before_every_call() -> None:
    """Given by position or by keyword."""
    call = repeatable_call(draw, (seeded(1),), {"generator": seeded(2)})

    assert call() == call() == draw(seeded(1), seeded(2))


def test_generators_in_lists_are_set_back_too() -> None:
    """A batch has a generator an image; lists in lists are looked through."""
    call = repeatable_call(draw, (), {"more": [seeded(1), seeded(2)]})
    nested = seeded(3)
    state = nested.get_state()
    inner = repeatable_call(lambda pair: draw(*pair[0]), (((nested,), "text"),), {})

    assert call() == call() == draw(seeded(1), seeded(2))
    assert inner() == inner()
    assert not torch.equal(nested.get_state(), state)


def test_a_generator_is_set_back_to_where_it_was_and_not_to_its_seed() -> None:
    """A call that starts in the middle of a sequence stays there."""
    generator = seeded(1)
    draw(generator)
    expected = draw(seeded(1).set_state(generator.get_state()))
    call = repeatable_call(draw, (generator,), {})

    assert call() == call() == expected


def test_the_arguments_are_those_of_the_moment() -> None:
    """A dictionary that changes afterwards changes no call."""
    keywords = {"a": 1}
    call = repeatable_call(lambda *args, **given: (args, given), iter([0]), keywords)
    keywords["a"] = 2

    assert call() == call() == ((0,), {"a": 1})
