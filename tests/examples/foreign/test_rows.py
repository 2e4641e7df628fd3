"""Tests with fixtures and a marker that have names of the plugin."""

import pytest


@pytest.mark.gpu("a100")
def test_marked(optimized_pipeline: list[str], pipeline_inputs: dict[str, int]) -> None:
    """Pass."""
    assert (optimized_pipeline, pipeline_inputs) == (["extract", "load"], {"rows": 3})


@pytest.mark.gpu
def test_fails(optimized_pipeline: list[str]) -> None:
    """Fail."""
    assert optimized_pipeline == []


@pytest.mark.xfail(raises=AssertionError)
def test_known_fault(pipeline_inputs: dict[str, int]) -> None:
    """Fail as expected."""
    assert pipeline_inputs["rows"] == 0


@pytest.mark.parametrize("reference_pipeline", [1, 2])
def test_parametrized(reference_pipeline: int, recwarn: pytest.WarningsRecorder) -> None:
    """Pass, without a warning."""
    assert reference_pipeline in {1, 2}
    assert len(recwarn) == 0


def test_output(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """Pass: nothing else is printed or logged."""
    print("rows")  # noqa: T201 - what the test captures
    assert capsys.readouterr() == ("rows\n", "")
    assert caplog.records == []
