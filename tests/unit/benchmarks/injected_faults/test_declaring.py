"""Bugs are injected for the length of a block, and nothing of them is left behind it."""

from typing import Any

import pytest
import torch
from diffusers.schedulers import EulerDiscreteScheduler
from torch.nn import functional

from benchmarks.injected_faults.declaring import altered, attending, configured, replaced, wrapped


class Base:
    """Something with methods."""

    def greet(self, name: str) -> str:
        """Greet."""
        return f"hello {name}"

    @staticmethod
    def add(one: int, other: int) -> int:
        """Add."""
        return one + other


class Derived(Base):
    """Something that inherits them."""


def test_a_wrapped_method_is_the_inherited_one_again() -> None:
    """The class does not keep a copy of what it inherits."""
    with wrapped(Derived, "greet", lambda original, self, name: original(self, name.upper())):
        during = Derived().greet("you")

    assert during == "hello YOU"
    assert Derived().greet("you") == "hello you"
    assert "greet" not in vars(Derived)


def test_a_wrapped_static_method_stays_static() -> None:
    """It gets no self, of the class or of an instance."""
    before = vars(Base)["add"]
    with wrapped(Base, "add", lambda original, one, other: -original(one, other)):
        during = Base.add(1, 2), Base().add(1, 2)

    assert during == (-3, -3)
    assert vars(Base)["add"] is before


def test_an_instance_keeps_nothing_of_its_wrapped_method() -> None:
    """A module's forward is its class's own afterwards, also when the call raised."""
    layer = torch.nn.Linear(2, 2)
    with wrapped(layer, "forward", lambda forward, x: forward(x) * 0):
        during = layer(torch.ones(1, 2))
    with pytest.raises(RuntimeError), wrapped(layer, "forward", lambda forward, _x: forward(torch.ones(1, 3))):
        layer(torch.ones(1, 2))

    assert not during.any()
    assert "forward" not in vars(layer)


def test_a_replaced_attribute_comes_back() -> None:
    """Also one that is a part of a module."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    part = model[0]
    with replaced(model, "0", torch.nn.Identity()):
        assert isinstance(model[0], torch.nn.Identity)

    assert model[0] is part


def test_a_configuration_comes_back() -> None:
    """Other values stay as they were all the time."""
    scheduler = EulerDiscreteScheduler(steps_offset=1)
    before = dict(scheduler.config)
    with configured(scheduler, steps_offset=0):
        assert scheduler.config.steps_offset == 0

    assert dict(scheduler.config) == before


def test_altered_weights_come_back_bit_for_bit() -> None:
    """Also when the new values are NaN."""
    weight = torch.nn.Linear(2, 2).weight
    before = weight.detach().clone()
    with altered({weight: torch.full((2, 2), torch.nan)}):
        assert weight.isnan().all()

    assert torch.equal(weight, before)


def test_attention_is_changed_once_and_only_inside_the_call() -> None:
    """What attends within the changed attention is torch's own again."""
    seen = []

    def change(attend: object, *args: Any) -> torch.Tensor:
        seen.append(functional.scaled_dot_product_attention is attend)
        return functional.scaled_dot_product_attention(*args) + 1

    x = torch.zeros(1, 1, 2, 2)
    attended = attending(change)(lambda: functional.scaled_dot_product_attention(x, x, x))

    assert torch.equal(attended, x + 1)
    assert seen == [True]
    assert torch.equal(functional.scaled_dot_product_attention(x, x, x), x)
