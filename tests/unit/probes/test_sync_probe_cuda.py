"""The CUDA branch of the sync probe, driven with the warnings that torch's source promises."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.syncs import watch_syncs
from pytest_diffopt.records import Device, Subject

SUBJECT = Subject(pipeline="fake", device=Device.CUDA)
SAID = "called a synchronizing CUDA operation (Triggered internally at CUDAFunctions.cpp:126.)"


class Card:
    """What torch does under its sync debug mode: a warning at each wait while it is armed."""

    def __init__(self) -> None:
        self.modes: list[str] = []

    def set_sync_debug_mode(self, mode: str) -> None:
        """Remember what was asked for."""
        self.modes.append(mode)

    def wait(self) -> None:
        """Wait for the card."""
        if self.modes and self.modes[-1] == "warn":
            warnings.warn(SAID, UserWarning, stacklevel=2)


class Pipeline:
    """A loop of three steps with a wait in each, and one before and after it."""

    def __init__(self, card: Card, *, raises: bool = False) -> None:
        self._card = card
        self._raises = raises

    @contextmanager
    def progress_bar(self, iterable: Any = None, total: int | None = None) -> Iterator[Any]:
        """Be what diffusers' own is."""
        assert iterable is None
        assert total == 3
        yield SimpleNamespace(update=lambda _steps=1: None)

    def __call__(self) -> None:
        """Draw nothing."""
        self._card.wait()
        with self.progress_bar(total=3) as bar:
            for _step in range(3):
                self._card.wait()
                if self._raises:
                    raise ArithmeticError
                bar.update()
        self._card.wait()


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    """Put the card in torch's place."""
    card = Card()
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", card.set_sync_debug_mode)
    return card


def test_waits_are_counted_inside_the_loop_only(card: Card) -> None:
    """One a step, with its step and the line that waited; the mode is armed in the loop and never around it."""
    pipeline = Pipeline(card)
    with watch_syncs(pipeline, SUBJECT) as watch:
        pipeline()

    assert [sync.step for sync in watch.record.syncs] == [0, 1, 2]
    assert {sync.where.function for sync in watch.record.syncs} == {"wait"}
    assert watch.record.num_steps == 3
    assert watch.record.seen_by == "the GPU (sync debug mode)"
    assert card.modes[-1] == "default"


def test_the_mode_is_put_back_when_the_pipeline_raises(card: Card) -> None:
    """And the exception passes as it is."""
    pipeline = Pipeline(card, raises=True)
    with pytest.raises(ArithmeticError), watch_syncs(pipeline, SUBJECT):
        pipeline()

    assert card.modes[-1] == "default"
    assert "progress_bar" not in vars(pipeline)


def test_other_warnings_go_where_they_went(card: Card) -> None:
    """A warning that is not a wait is the user's business."""

    def call() -> None:
        card.wait()
        warnings.warn("overflow", RuntimeWarning, stacklevel=1)

    with watch_syncs(call, SUBJECT) as watch, pytest.warns(RuntimeWarning, match="overflow"):
        call()

    assert len(watch.record.syncs) == 1


def test_of_a_bare_callable_the_whole_call_is_one_step(card: Card) -> None:
    """Where there is no loop, every wait counts."""
    with watch_syncs(card.wait, SUBJECT) as watch:
        card.wait()
        card.wait()

    assert [sync.step for sync in watch.record.syncs] == [0, 0]


def test_the_record_is_there_after_the_block_only(card: Card) -> None:
    """A record that is read too early would be missing what is still to come."""
    message = r"^a sync record is complete only when its block has ended: read it after the with statement$"
    with watch_syncs(card.wait, SUBJECT) as watch, pytest.raises(ProbeError, match=message):
        watch.record  # noqa: B018 - asking is the test
