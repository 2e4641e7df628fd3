"""The default attention backend that counts in a test, by scopes."""

from collections.abc import Iterator
from typing import Any

import pytest
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from torch import nn

from pytest_diffopt.probes.attention_default import AttentionDefault

NATIVE, FLEX, MATH = AttentionBackendName.NATIVE, AttentionBackendName.FLEX, AttentionBackendName._NATIVE_MATH


class Processor:
    """Computes attention with its own backend, if it has one."""

    def __init__(self, backend: Any = None) -> None:
        self._attention_backend = backend


class Model(nn.Module):
    """A model whose attention may have a backend."""

    def __init__(self, backend: Any = None) -> None:
        super().__init__()
        self.processor = Processor(backend)
        if backend:
            set_default(backend)  # as diffusers' `set_attention_backend` does


def set_default(backend: Any) -> None:
    """Set the default of the process."""
    _AttentionBackendRegistry.set_active_backend(backend)


def default() -> Any:
    """Return the default of the process."""
    return _AttentionBackendRegistry.get_active_backend()[0]


def counted(state: AttentionDefault, target: object) -> Any:
    """Return the default during a call."""
    with state.applied(target):
        return default()


@pytest.fixture
def state() -> Iterator[AttentionDefault]:
    """Return a state; the default is the native backend before and afterwards."""
    before = default()
    set_default(NATIVE)
    yield AttentionDefault()
    set_default(before)


def test_without_scopes_the_registry_counts(state: AttentionDefault) -> None:
    """Outside of pytest nothing is known of its origin."""
    set_default(FLEX)

    assert counted(state, Model()) == FLEX


def test_the_choice_of_a_model_is_not_the_default_of_another(state: AttentionDefault) -> None:
    """Set in a fixture that returns the model, also in a pipeline or a list; it stays in the registry."""
    for holding in (lambda model: model, lambda model: [model], lambda model: {"model": model}):
        state.enter("fixture")
        state.set_up(holding(Model(FLEX)))
        state.enter("test")

        assert counted(state, Model()) == NATIVE
        assert default() == FLEX
        state.leave("test")
        state.leave("fixture")


def test_the_default_that_a_living_fixture_sets_counts(state: AttentionDefault) -> None:
    """Until the fixture ends."""
    state.enter("fixture")
    set_default(FLEX)
    state.set_up(None)
    state.enter("test")
    during = counted(state, Model())
    state.leave("test")
    state.leave("fixture")
    state.enter("another test")

    assert during == FLEX
    assert counted(state, Model()) == NATIVE
    assert default() == NATIVE


def test_what_a_test_sets_counts_until_it_ends(state: AttentionDefault) -> None:
    """The next test has the default that was there before."""
    state.enter("test")
    set_default(MATH)
    during = counted(state, Model())
    state.leave("test")

    assert during == MATH
    assert default() == NATIVE


def test_the_targets_own_choice_in_a_test_is_not_the_default(state: AttentionDefault) -> None:
    """Its other modules use the default, in every order of the tests."""
    state.enter("test")
    target = Model(FLEX)

    assert counted(state, target) == NATIVE
