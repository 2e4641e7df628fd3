"""`@pytest.mark.gpu` requires a GPU; it applies only to diffopt's tests."""

from types import SimpleNamespace

import pytest
import torch

MARKED = """
import pytest

@pytest.mark.gpu({arguments})
@pytest.mark.diffopt(pipeline="sdxl")
def test_it(diffopt_pipeline):
    pass
"""


def test_a_gpu_marker_on_another_test_is_ignored(project: pytest.Pytester) -> None:
    """A project can have its own `gpu` marker with its own arguments."""
    project.makepyfile(
        test_it="""
import pytest

@pytest.mark.gpu("a100", vendor="nvidia")
def test_other():
    pass
"""
    )
    result = project.runpytest_inprocess()

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "memory=24",
            (
                "unknown keyword of @pytest.mark.gpu: 'memory' (did you mean 'memory_gib'?); "
                "it takes the keywords memory_gib, capability, count"
            ),
        ),
        (
            "24",
            (
                "@pytest.mark.gpu takes no positional arguments, got: (24,); "
                "it takes the keywords memory_gib, capability, count"
            ),
        ),
        (
            "capability=8.0",
            "@pytest.mark.gpu takes memory_gib=24, capability=(8, 0), count=1, got: {'capability': 8.0}",
        ),
        (
            'memory_gib="24"',
            "@pytest.mark.gpu takes memory_gib=24, capability=(8, 0), count=1, got: {'memory_gib': '24'}",
        ),
    ],
)
def test_an_invalid_marker_is_a_usage_error(project: pytest.Pytester, arguments: str, message: str) -> None:
    """One line shows the test and the value; the test is not silently skipped."""
    project.makepyfile(test_it=MARKED.format(arguments=arguments))
    result = project.runpytest_inprocess()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: diffopt: test_it.py::test_it[sdxl]: {message}" in result.errlines


@pytest.fixture
def small_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate one GPU with 16 GiB and compute capability 7.5."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Small GPU")
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda *_: SimpleNamespace(total_memory=16 * 2**30, name="Small GPU")
    )
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 5))
    monkeypatch.setattr(torch.accelerator, "is_available", lambda *_, **__: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda *_, **__: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)


@pytest.mark.usefixtures("small_gpu")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("memory_gib=24", "needs a GPU with 24 GiB, got: 16.0 GiB"),
        ("capability=(8, 0)", "needs compute capability (8, 0), got: (7, 5)"),
        ("count=2", "needs 2 GPUs, got: 1"),
    ],
)
def test_an_insufficient_gpu_skips_with_the_reason(project: pytest.Pytester, arguments: str, reason: str) -> None:
    """The reason shows the requirement and what the GPU has."""
    project.makepyfile(test_it=MARKED.format(arguments=arguments))
    result = project.runpytest_inprocess("--gpu", "-rs")

    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines([f"SKIPPED * {reason}"])


@pytest.mark.usefixtures("small_gpu")
def test_a_sufficient_gpu_runs_the_test(project: pytest.Pytester) -> None:
    """A GPU that exactly meets the requirement is sufficient."""
    project.makepyfile(test_it=MARKED.format(arguments="memory_gib=16, capability=(7, 5), count=1"))
    result = project.runpytest_inprocess("--gpu")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["diffopt: device Small GPU, *"])
