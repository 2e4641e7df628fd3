"""With pytest-xdist each worker uses its own GPU, and the verdicts equal those of one process."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("xdist")
pytestmark = pytest.mark.usefixtures("warm_processes")

# Fakes a GPU in the controller and in workers.
GPUS = """
from pytest_diffopt.plugin import collection
from pytest_diffopt.reports import header

collection._require_gpu = lambda: None
header.gpu_name = lambda: "a fake GPU"
"""
EIGHT = """
import os
import pathlib

import pytest
from injected_verdicts import takes

@pytest.mark.diffopt
@pytest.mark.parametrize("number", range(8))
def test_on_a_gpu(number, worker_id):
    pathlib.Path(f"gpu-of-{worker_id}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    takes(102 + number)
"""
#: Fakes measured times; everything after the measurement is the real code.
TIMED_GPUS = (
    GPUS
    + """
from pytest_diffopt.api import baseline_gate, latency_baseline
from pytest_diffopt.records import Device, Environment, LatencyRecord, Subject
from pytest_diffopt.reports import document

def environment(device):
    return Environment(device_slug="fake-gpu", device_name="a fake GPU", versions={"torch": "2.13.0"})

def measure(self, target, arguments):
    samples = (round(target() * 1_000_000),) * 5
    subject = Subject(pipeline="own", scale="tiny", recipe="bf16", device=Device.CUDA)
    return LatencyRecord(subject=subject, warmup_ns=samples, samples_ns=samples, num_steps=4)

baseline_gate.capture_environment = document.capture_environment = environment
latency_baseline.LatencyGate._measure = measure
"""
)
TIMED = """
import os
import pathlib

import pytest

SLOWER = float(os.environ.get("SLOWER", 0))

@pytest.mark.diffopt
@pytest.mark.parametrize("number", range(12))
def test_latency(number, latency_baseline):
    gpu = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    pathlib.Path(f"gpu-of-{gpu}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    latency_baseline.check(lambda: 100 + number + SLOWER * (number % 3), reason=f"case {number}")
"""
NAMES = ["0", "3", "GPU-8f3c", "MIG-1a2b"]


@pytest.fixture
def four_gpus(injected: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a project on a machine with four GPUs, named in each way that CUDA accepts."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(NAMES))
    injected.makeconftest(GPUS)
    injected.makepyfile(test_it=EIGHT)
    return injected


def verdicts(project: pytest.Pytester, junit: str) -> dict[str, list[tuple[str | None, str | None]]]:
    """Return every figure of every test."""
    tree = ET.parse(project.path / junit)  # noqa: S314 - written by this test
    return {
        str(case.get("name")): [(one.get("name"), one.get("value")) for one in case.iterfind("properties/property")]
        for case in tree.iterfind(".//testcase")
    }


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest in a subprocess, since workers are subprocesses."""
    with_xdist = ("-p", "xdist", "-p", "no:benchmark", "-p", "no:randomly")
    return project.runpytest_subprocess(*with_xdist, "--gpu", *arguments, timeout=600)


def test_auto_starts_a_worker_for_each_gpu(four_gpus: pytest.Pytester) -> None:
    """Each worker sees one GPU, no two see the same, and the verdicts equal those of one process."""
    spread = run(four_gpus, "-n", "auto", "--junit-xml=spread.xml")
    seen = sorted(path.read_text() for path in four_gpus.path.glob("gpu-of-gw*"))
    run(four_gpus, "-n", "0", "--junit-xml=alone.xml")

    spread.stdout.fnmatch_lines(["*4 workers*"])
    assert seen == NAMES
    assert verdicts(four_gpus, "spread.xml") == verdicts(four_gpus, "alone.xml")
    assert len(verdicts(four_gpus, "alone.xml")) == 8


@pytest.fixture
def timed_gpus(four_gpus: pytest.Pytester) -> pytest.Pytester:
    """Return a project with twelve latency cases on the four GPUs."""
    four_gpus.makeconftest(TIMED_GPUS)
    four_gpus.makepyfile(test_it=TIMED)
    return four_gpus


def ledger(project: pytest.Pytester, report: str) -> dict[str, Any]:
    """Return the content of a report, with sorted verdicts, independent of scheduling."""
    found: dict[str, Any] = json.loads((project.path / report / "report.json").read_text(encoding="utf-8"))
    for part in ("verdicts", "broken", "skipped"):
        found[part].sort(key=lambda one: one["nodeid"])
    return found


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_baselines_of_four_gpus_equal_those_of_one_process(timed_gpus: pytest.Pytester) -> None:
    """Baselines are equal to the byte, ledgers are equal, and no lock or temporary file is left."""
    for workers in ("0", "4"):
        options = (f"--diffopt-baselines=baselines-{workers}", f"--diffopt-report=report-{workers}")
        accepting = run(timed_gpus, "-n", workers, "--diffopt-update=missing", *options)

        accepting.assert_outcomes(passed=12)
    written = files(timed_gpus.path / "baselines-4")
    gpus = [path.read_text() for path in timed_gpus.path.glob("gpu-of-gw*")]

    assert sorted(gpus) == NAMES
    assert written == files(timed_gpus.path / "baselines-0")
    assert sorted(written) == sorted(f"fake-gpu/test_it/test_latency[{number}].tiny.json" for number in range(12))
    assert ledger(timed_gpus, "report-4") == ledger(timed_gpus, "report-0")


def test_verdicts_of_four_gpus_equal_those_of_one_process(
    timed_gpus: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same cases regress by the same figures, and baselines are unchanged."""
    run(timed_gpus, "-n", "0", "--diffopt-update=missing")
    before = files(timed_gpus.path / "baselines")
    monkeypatch.setenv("SLOWER", "20")
    alone = run(timed_gpus, "-n", "0", "--diffopt-report=alone")
    spread = run(timed_gpus, "-n", "4", "--diffopt-report=spread")

    for result in (alone, spread):
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.assert_outcomes(passed=4, failed=8)
    assert files(timed_gpus.path / "baselines") == before
    assert ledger(timed_gpus, "spread") == ledger(timed_gpus, "alone")
    assert ledger(timed_gpus, "spread")["counts"] == {"passed": 4, "regressed": 8}


def test_workers_without_a_list_of_the_gpus_fail(four_gpus: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `CUDA_VISIBLE_DEVICES` and NVML all of them would time their tests on the first GPU."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    four_gpus.makeconftest(GPUS + "import sys\n\nsys.modules['pynvml'] = None\n")
    shared = run(four_gpus, "-n", "2")

    assert shared.ret == pytest.ExitCode.TESTS_FAILED
    shared.stdout.fnmatch_lines(
        [
            "diffopt: --gpu assigns one GPU to each worker, got: 2 workers (-n) and no list of the GPUs: set "
            "CUDA_VISIBLE_DEVICES to their numbers, or install nvidia-ml-py"
        ]
    )


def test_two_workers_on_one_gpu_are_refused(four_gpus: pytest.Pytester) -> None:
    """The run ends before any measurement."""
    result = run(four_gpus, "-n", "5")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: diffopt: --diffopt-gpu assigns one GPU to each worker, got: 5 workers (-n) and 4 GPUs; "
            "-n auto starts one worker per GPU"
        ]
    )
