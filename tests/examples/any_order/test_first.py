"""The guards of a user, on a pipeline of the file and on models of the same class."""

import models  # type: ignore[import-not-found] # the project is copied into a folder of its own
import pytest
import torch

from pytest_diffopt import (
    assert_compiled_matches_eager,
    assert_no_graph_breaks,
    assert_no_recompiles,
    assert_no_syncs,
)


def test_graph(optimized_pipeline: torch.nn.Module) -> None:
    """Pass."""
    assert_no_graph_breaks(optimized_pipeline, **models.call())


def test_recompiles(optimized_pipeline: torch.nn.Module) -> None:
    """Pass."""
    assert_no_recompiles(optimized_pipeline, [models.call(), models.call()])


def test_syncs(optimized_pipeline: torch.nn.Module) -> None:
    """Pass: the table is copied in the first call only."""
    assert_no_syncs(optimized_pipeline, **models.call())


@pytest.mark.parametrize("heads", range(1, 4))
def test_numbers(heads: int) -> None:
    """Pass."""
    assert_compiled_matches_eager(models.compiled(models.Denoiser(heads)), **models.call())


@pytest.mark.parametrize("heads", range(1, 4))
def test_wrong_numbers(heads: int) -> None:
    """Fail."""
    assert_compiled_matches_eager(models.compiled(models.Denoiser(heads), models.doubling), **models.call())


def test_break() -> None:
    """Fail."""
    assert_no_graph_breaks(models.compiled(models.Prints()), **models.call())


def test_read() -> None:
    """Fail."""
    assert_no_syncs(models.Reads(), **models.call())
