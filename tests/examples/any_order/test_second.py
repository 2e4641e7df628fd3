"""The same class in another file, and tests that leave Dynamo in another state."""

import models  # type: ignore[import-not-found] # the project is copied into a folder of its own
import torch

from pytest_diffopt import assert_compiled_matches_eager, assert_no_graph_breaks, assert_no_recompiles


def test_graph(optimized_pipeline: torch.nn.Module) -> None:
    """Pass."""
    assert_no_graph_breaks(optimized_pipeline, **models.call())


def test_recompiles(optimized_pipeline: torch.nn.Module) -> None:
    """Pass."""
    assert_no_recompiles(optimized_pipeline, [models.call(), models.call()])


def test_shapes(optimized_pipeline: torch.nn.Module) -> None:
    """Compile for many shapes, outside of every assertion."""
    for rows in range(3, 6):
        optimized_pipeline(**models.call(rows))


def test_plain_calls() -> None:
    """Let Dynamo give the function up, and fill the cache on the host."""
    for heads in range(1, 11):
        models.compiled(models.Denoiser(heads))(**models.call())


def test_turns() -> None:
    """Pass: two models of one class take turns."""
    first, second = (models.compiled(models.Denoiser(heads)) for heads in (1, 2))
    for model in (first, second, first):
        assert_no_recompiles(model, [models.call(), models.call()])
        assert_no_graph_breaks(model, **models.call())


def test_function() -> None:
    """Fail."""
    assert_compiled_matches_eager(torch.compile(torch.sin, backend=models.doubling), torch.ones(4))


def test_reset() -> None:
    """Leave Dynamo without any code."""
    torch.compiler.reset()


def test_break_after_plain_calls() -> None:
    """Fail: Dynamo has given up the function in the plain calls."""
    models.compiled(models.Prints())(**models.call())
    assert_no_graph_breaks(models.compiled(models.Prints()), **models.call())
