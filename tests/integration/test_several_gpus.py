"""With pytest-xdist each worker takes its own GPU, and the verdicts are those of one process."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("xdist")

# In workers, too, there is a GPU.
GPUS = """
from pytest_diffopt import collection
from pytest_diffopt.reports import header

collection._require_gpu = lambda: None
header.gpu_name = lambda: "a fake GPU"
"""
EIGHT = """
import os
import pathlib
import time

import pytest
from injected_verdicts import takes

@pytest.mark.diffopt
@pytest.mark.parametrize("number", range(8))
def test_on_a_gpu(number, worker_id):
    pathlib.Path(f"gpu-of-{worker_id}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    takes(102 + number)
    time.sleep(0.2)  # so that every worker has its turn
"""
#: GPUs whose times are known: what is accepted, judged and written down after that is the plugin's own.
TIMED_GPUS = (
    GPUS
    + """
import time

from pytest_diffopt import stored_gates
from pytest_diffopt.records import Device, Environment, LatencyRecord, Subject
from pytest_diffopt.reports import document

def environment(device):
    return Environment(device_slug="fake-GPU", device_name="a fake GPU", versions={"torch": "2.13.0"})

def measure(self, target, args, inputs):
    time.sleep(0.1)  # so that every worker has its turn
    samples = (round(target() * 1_000_000),) * 5
    subject = Subject(pipeline="own", scale="tiny", recipe="bf16", device=Device.CUDA)
    return LatencyRecord(subject=subject, warmup_ns=samples, samples_ns=samples, num_steps=4)

stored_gates.capture_environment = document.capture_environment = environment
stored_gates.LatencyGate._measure = measure
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
    """Make a project on a machine with four GPUs, named in every way that CUDA knows."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(NAMES))
    injected.makeconftest(GPUS)
    injected.makepyfile(test_it=EIGHT)
    return injected


def verdicts(project: pytest.Pytester, junit: str) -> dict[str, list[tuple[str | None, str | None]]]:
    """Return every figure of every test."""
    tree = ET.parse(project.path / junit)  # noqa: S314 - our own file
    return {
        str(case.get("name")): [(one.get("name"), one.get("value")) for one in case.iterfind("properties/property")]
        for case in tree.iterfind(".//testcase")
    }


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run in a process of its own, as workers do."""
    with_xdist = ("-p", "xdist", "-p", "no:benchmark", "-p", "no:randomly")
    return project.runpytest_subprocess(*with_xdist, "--gpu", *arguments, timeout=300)


def test_auto_starts_a_worker_for_each_gpu(four_gpus: pytest.Pytester) -> None:
    """Each sees one, no two the same, and together they come to the verdicts of one process."""
    spread = run(four_gpus, "-n", "auto", "--junit-xml=spread.xml")
    seen = sorted(path.read_text() for path in four_gpus.path.glob("gpu-of-gw*"))
    run(four_gpus, "-n", "0", "--junit-xml=alone.xml")

    spread.stdout.fnmatch_lines(["*4 workers*"])
    assert seen == NAMES
    assert verdicts(four_gpus, "spread.xml") == verdicts(four_gpus, "alone.xml")
    assert len(verdicts(four_gpus, "alone.xml")) == 8


@pytest.fixture
def timed_gpus(four_gpus: pytest.Pytester) -> pytest.Pytester:
    """Make a project with twelve latency cases on the four GPUs."""
    four_gpus.makeconftest(TIMED_GPUS)
    four_gpus.makepyfile(test_it=TIMED)
    return four_gpus


def ledger(project: pytest.Pytester, report: str) -> dict[str, Any]:
    """Return all that a report says, its verdicts in an order that no scheduling changes."""
    found: dict[str, Any] = json.loads((project.path / report / "report.json").read_text(encoding="utf-8"))
    for part in ("verdicts", "broken", "skipped"):
        found[part].sort(key=lambda one: one["nodeid"])
    return found


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, to the byte."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_four_gpus_accept_what_one_process_accepts(timed_gpus: pytest.Pytester) -> None:
    """Each baseline to the byte, and in the ledger every verdict; no lock or temporary file is left."""
    for workers in ("0", "4"):
        options = (f"--diffopt-baselines=baselines-{workers}", f"--diffopt-report=report-{workers}")
        accepting = run(timed_gpus, "-n", workers, "--diffopt-update=missing", *options)

        accepting.assert_outcomes(passed=12)
    written = files(timed_gpus.path / "baselines-4")
    gpus = [path.read_text() for path in timed_gpus.path.glob("gpu-of-gw*")]

    assert sorted(gpus) == NAMES
    assert written == files(timed_gpus.path / "baselines-0")
    assert sorted(written) == sorted(f"fake-GPU/test_it/test_latency[{number}].tiny.json" for number in range(12))
    assert ledger(timed_gpus, "report-4") == ledger(timed_gpus, "report-0")


def test_four_gpus_judge_as_one_process_does(timed_gpus: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same cases are slower, by the same figures, and the baselines stay as they are."""
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


def test_two_workers_on_one_gpu_are_refused(four_gpus: pytest.Pytester) -> None:
    """Before anything is measured."""
    result = run(four_gpus, "-n", "5")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: diffopt: --gpu assigns one GPU to each worker, got: 5 workers (-n) and 4 GPUs; "
            "-n auto starts one worker per GPU"
        ]
    )
