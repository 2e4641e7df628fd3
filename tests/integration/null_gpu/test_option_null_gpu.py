"""`--diffopt-null-gpu[=NAME]`: pytest starts again on the null GPU."""

import json
import signal
import sys

import pytest

from tests.integration.null_gpu.conftest import Run

SHOW = """
import os, signal
import pytest
import torch

# before any test: values are computed at import, too
SUM = torch.arange(5, device="cuda").sum().item() if torch.cuda.is_available() else None

@pytest.mark.parametrize("number", range(2))
def test_device(number):
    assert torch.cuda.get_device_name() == os.environ["EXPECTED"]
    assert SUM == 10
"""
WATCHED = """
import small_pipeline
from pytest_diffopt import assert_no_syncs

def test_watched():
    assert_no_syncs(small_pipeline.build().to("cuda"))

def test_peak(memory_baseline):
    memory_baseline.check(small_pipeline.build().to("cuda"), generator=None)
"""
KILLED = """
import os, signal

def test_killed():
    os.kill(os.getpid(), signal.SIGTERM)
"""


def test_the_device_has_its_own_name_everywhere(run_on_null_gpu: Run, pytester: pytest.Pytester) -> None:
    """In the header, the report, the records and the folder of baselines; the GPU that it names is never meant."""
    pytester.makepyfile(test_it=WATCHED)
    options = ("--diffopt-null-gpu", "test_it.py", "--diffopt-update=missing", "--diffopt-report=report", "-v")
    result = run_on_null_gpu(*options, "--diffopt-require=null-gpu>=2")
    report = json.loads((pytester.path / "report" / "report.json").read_text(encoding="utf-8"))
    found = {entry["verdict"]["concern"]: entry for entry in report["verdicts"]}

    assert result.ret == pytest.ExitCode.OK, result.outlines
    result.stdout.fnmatch_lines(
        ["diffopt: device null NVIDIA H200, torch *, scale tiny, baselines baselines, inconclusive *"]
    )
    assert report["shards"][0]["environment"]["device"] == "null NVIDIA H200"
    assert {entry["verdict"]["subject"]["device"] for entry in report["verdicts"]} == {"null-gpu"}
    assert found["syncs"]["record"]["seen_by"] == "the null NVIDIA H200"
    assert min(found["syncs"]["record"]["operations"]) > 0
    assert found["memory"]["record"]["seen_by"] == "torch's caching allocator on the null GPU"
    assert [path.name for path in (pytester.path / "baselines").iterdir()] == ["null-nvidia-h200"]


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_name_exit_code_and_workers(
    run_on_null_gpu: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """The option without `=` takes no test path for a name; workers run there, too, each on a GPU of its own."""
    monkeypatch.setenv("EXPECTED", "Tesla T4")
    pytester.makepyfile(test_it=SHOW)
    result = run_on_null_gpu("--diffopt-null-gpu=t4", workers, "test_it.py")
    result.assert_outcomes(passed=2)

    monkeypatch.setenv("EXPECTED", "NVIDIA L4")
    result = run_on_null_gpu(workers, "--diffopt-null-gpu", "test_it.py")

    result.assert_outcomes(failed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*NVIDIA H200*"])


def test_ini_file_and_addopts(run_on_null_gpu: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line takes precedence."""
    pytester.makepyfile(test_it=SHOW)
    pytester.makeini("[pytest]\ndiffopt_null_gpu = l4\naddopts = -p no:cacheprovider")
    monkeypatch.setenv("EXPECTED", "NVIDIA L4")
    run_on_null_gpu("test_it.py").assert_outcomes(passed=2)
    monkeypatch.setenv("EXPECTED", "Tesla V100-SXM2-32GB")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--diffopt-null-gpu=v100")
    run_on_null_gpu("test_it.py").assert_outcomes(passed=2)


def test_the_plugin_is_loaded_by_name(
    run_on_null_gpu: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `-p`, and without the autoloading of plugins; a conftest file would load it too late."""
    monkeypatch.setenv("EXPECTED", "NVIDIA H200")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider")
    pytester.makepyfile(test_it=SHOW)
    run_on_null_gpu("-p", "pytest_diffopt.plugin.hooks", "--diffopt-null-gpu", "test_it.py").assert_outcomes(passed=2)
    pytester.makeconftest('pytest_plugins = ["pytest_diffopt.plugin.hooks"]')
    result = run_on_null_gpu("--diffopt-null-gpu", "test_it.py")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: diffopt: --diffopt-null-gpu came too late: a conftest file loads the plugin; load it with "
        "-p pytest_diffopt.plugin.hooks, or start `python -m pytest_diffopt null-gpu -- pytest ...`"
    ) in result.errlines


@pytest.mark.usefixtures("run_on_null_gpu")
def test_the_command_runs_pytest(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the option: the command starts the values, and the plugin does not start them again; nothing warns."""
    monkeypatch.setenv("EXPECTED", "NVIDIA L4")
    pytester.makepyfile(test_it=SHOW)
    command = (sys.executable, "-m", "pytest_diffopt", "null-gpu", "--gpu", "l4", "--values", "all", "--")
    result = pytester.run(*command, sys.executable, "-m", "pytest", "--gpu", "-W", "error", "test_it.py")

    result.assert_outcomes(passed=2)
    result.stderr.fnmatch_lines(["null GPU: NVIDIA L4 *"])


def test_a_signal_ends_the_same_process(run_on_null_gpu: Run, pytester: pytest.Pytester) -> None:
    """There is no process in between that could lose it."""
    pytester.makepyfile(test_it=KILLED)
    result = run_on_null_gpu("--diffopt-null-gpu", "test_it.py")

    assert result.ret == -signal.SIGTERM


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--diffopt-null-gpu=h20",
            "diffopt: --diffopt-null-gpu: unknown GPU 'h20' (did you mean 'h200'?); known: a100-80gb, b200, h100, "
            "h200, l4, l40s, rtx-4090, rtx-5090, t4, v100",
        ),
        (
            "--diffopt-null-gpu=h100",
            "diffopt: --diffopt-null-gpu: the null GPU must be loaded before torch, which is imported already: start "
            "the process with `python -m pytest_diffopt.null_gpu -- COMMAND`",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, option: str, message: str
) -> None:
    """A name that is no GPU's; a process in which torch is imported."""
    monkeypatch.delenv("DIFFOPT_NULL_GPU_DEVICE", raising=False)
    monkeypatch.setitem(sys.modules, "torch", sys.modules.get("torch", sys))
    result = pytester.runpytest_inprocess(option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {message}" in result.errlines
