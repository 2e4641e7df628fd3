"""Test that faults are injected for the duration of a block, and removed completely."""

from typing import Any

import pytest
import torch
from diffusers.schedulers import EulerDiscreteScheduler
from torch.nn import functional

from benchmarks.injected_faults.declaring import altered, attending, configured, replaced, wrapped


class Base:
    """A class with methods."""

    def greet(self, name: str) -> str:
        """Return a greeting."""
        return f"hello {name}"

    @staticmethod
    def add(one: int, other: int) -> int:
        """Return the sum."""
        return one + other


class Derived(Base):
    """A class that inherits the methods."""


def test_wrapped_inherited_method_is_removed() -> None:
    """The class does not keep a copy of an inherited method."""
    with wrapped(Derived, "greet", lambda original, self, name: original(self, name.upper())):
        during = Derived().greet("you")

    assert during == "hello YOU"
    assert Derived().greet("you") == "hello you"
    assert "greet" not in vars(Derived)


def test_wrapped_static_method_stays_static() -> None:
    """It gets no `self`, called on the class or on an instance."""
    before = vars(Base)["add"]
    with wrapped(Base, "add", lambda original, one, other: -original(one, other)):
        during = Base.add(1, 2), Base().add(1, 2)

    assert during == (-3, -3)
    assert vars(Base)["add"] is before


def test_wrapped_instance_method_is_removed() -> None:
    """A module's `forward` is the class's again, also after an exception."""
    layer = torch.nn.Linear(2, 2)
    with wrapped(layer, "forward", lambda forward, x: forward(x) * 0):
        during = layer(torch.ones(1, 2))
    with pytest.raises(RuntimeError), wrapped(layer, "forward", lambda forward, _x: forward(torch.ones(1, 3))):
        layer(torch.ones(1, 2))

    assert not during.any()
    assert "forward" not in vars(layer)


def test_replaced_attribute_is_restored() -> None:
    """A replaced submodule is the original again."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    part = model[0]
    with replaced(model, "0", torch.nn.Identity()):
        assert isinstance(model[0], torch.nn.Identity)

    assert model[0] is part


def test_configuration_is_restored() -> None:
    """The changed value is restored, and the other values never change."""
    scheduler = EulerDiscreteScheduler(steps_offset=1)
    before = dict(scheduler.config)
    with configured(scheduler, steps_offset=0):
        assert scheduler.config.steps_offset == 0

    assert dict(scheduler.config) == before


def test_altered_weights_are_restored_bitwise() -> None:
    """Weights are restored even if the new values are NaN."""
    weight = torch.nn.Linear(2, 2).weight
    before = weight.detach().clone()
    with altered({weight: torch.full((2, 2), torch.nan)}):
        assert weight.isnan().all()

    assert torch.equal(weight, before)


def test_attention_is_replaced_only_inside_the_call() -> None:
    """The replacement itself calls torch's own attention."""
    seen = []

    def change(attend: object, *args: Any) -> torch.Tensor:
        seen.append(functional.scaled_dot_product_attention is attend)
        return functional.scaled_dot_product_attention(*args) + 1

    x = torch.zeros(1, 1, 2, 2)
    attended = attending(change)(lambda: functional.scaled_dot_product_attention(x, x, x))

    assert torch.equal(attended, x + 1)
    assert seen == [True]
    assert torch.equal(functional.scaled_dot_product_attention(x, x, x), x)
