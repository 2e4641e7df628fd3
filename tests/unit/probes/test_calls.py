"""Tests of repeatable calls: generators are reset before every call."""

import torch

from pytest_diffopt.probes.calls import repeatable_call


def sample(*generators: torch.Generator, more: object = (), **named: torch.Generator) -> list[float]:
    """Take one random number from every generator."""
    listed = [one for one in (more if isinstance(more, (list, tuple)) else ()) if isinstance(one, torch.Generator)]
    return [torch.rand(1, generator=one).item() for one in (*generators, *listed, *named.values())]


def seeded(seed: int) -> torch.Generator:
    """Return a generator with this seed."""
    return torch.Generator().manual_seed(seed)


def test_generators_are_reset_before_every_call() -> None:
    """Positional and keyword generators are both reset."""
    call = repeatable_call(sample, (seeded(1),), {"generator": seeded(2)})

    assert call() == call() == sample(seeded(1), seeded(2))


def test_generators_in_lists_are_reset() -> None:
    """A batch has one generator per image; nested lists are searched too."""
    call = repeatable_call(sample, (), {"more": [seeded(1), seeded(2)]})
    nested = seeded(3)
    state = nested.get_state()
    inner = repeatable_call(lambda pair: sample(*pair[0]), (((nested,), "text"),), {})

    assert call() == call() == sample(seeded(1), seeded(2))
    assert inner() == inner()
    assert not torch.equal(nested.get_state(), state)


def test_a_generator_is_reset_to_its_state_and_not_to_its_seed() -> None:
    """A generator that was already used is reset to that state."""
    generator = seeded(1)
    sample(generator)
    expected = sample(seeded(1).set_state(generator.get_state()))
    call = repeatable_call(sample, (generator,), {})

    assert call() == call() == expected


def test_arguments_are_copied() -> None:
    """A later change of the keyword dictionary has no effect."""
    keywords = {"a": 1}
    call = repeatable_call(lambda *args, **given: (args, given), iter([0]), keywords)
    keywords["a"] = 2

    assert call() == call() == ((0,), {"a": 1})
