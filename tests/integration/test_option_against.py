"""`--diffopt-against`: base and head are timed by two processes, each with its own code."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.unit.paired.repositories import commit, git

PRODUCT = """
import os
import paced_time

def call(seconds):
    paced_time.sleep(seconds)

def changed():
    call({changed_seconds})

def unchanged():
    call(0.02)

def crashing():
    {crashing}
"""
TESTS = """
import product

def test_changed(latency_baseline):
    latency_baseline.check(product.changed)

def test_unchanged(latency_baseline):
    latency_baseline.check(product.unchanged)

def test_without_timing():
    raise AssertionError("must be deselected")
"""
NEW_TEST = """
def test_new(latency_baseline):
    latency_baseline.check(product.unchanged)
"""
CRASHING_TEST = """
def test_crashing(latency_baseline):
    latency_baseline.check(product.crashing)
"""
OPTIONS = ("--diffopt-margin=0.5", "--diffopt-max-seconds=30", "--tb=short")


@pytest.fixture
def repository(paced: pytest.Pytester) -> pytest.Pytester:
    """Return a git project whose head is slower in one function, crashes in another, and has an additional test."""
    base = PRODUCT.format(changed_seconds=0.02, crashing="unchanged()")
    commit(paced.path, {"product.py": base, "test_it.py": TESTS + CRASHING_TEST})
    head = PRODUCT.format(changed_seconds=0.06, crashing="os.write(2, b'the driver crashed'); os._exit(7)")
    commit(paced.path, {"product.py": head, "test_it.py": TESTS + NEW_TEST + CRASHING_TEST})
    return paced


def left_over(project: pytest.Pytester) -> int:
    """Count the git worktrees besides the project's own."""
    return len(git(project.path, "worktree", "list").splitlines()) - 1


@pytest.mark.usefixtures("warm_processes")
def test_injected_slowdown_fails_and_same_code_passes(repository: pytest.Pytester) -> None:
    """A worker that exits, and a test that base does not have, affect no other comparison."""
    result = repository.runpytest_inprocess("--diffopt-against=HEAD~1", "-v", *OPTIONS)

    result.assert_outcomes(passed=1, failed=2, skipped=1, deselected=1)
    result.stdout.fnmatch_lines(["test_it.py::test_unchanged PASSED*"])
    result.stdout.fnmatch_lines(
        [
            "diffopt: the call became 200.0 % slower than at HEAD~1 (?????????) (50.0 % allowed)",
            "  change  +200.0 %, between +* and +* at 99.9* % confidence, 72 blocks of 4 calls by 9 pairs of processes",
            "  spread  pairs of processes differ by * %, one standard deviation",
            "  head    60.0 ms per call, the working tree (?????????)",
            "  base    20.0 ms per call, HEAD~1 (?????????)",
            "  not counted: no operation of the call, or of its denoiser, ran on the simulated GPU",
            "seen on *, both timed interleaved in two processes, pipeline changed (weights: the user's own)",
            "to accept this: raise --diffopt-margin, or merge the change: later changes are compared with it",
        ],
        consecutive=True,
    )
    result.stdout.fnmatch_lines(
        [
            "diffopt: the head worker, the working tree (?????????), exited while running "
            "test_it.py::test_crashing up to its timed call (exit status 7)",
            "  its last output:",
            "*the driver crashed*",
        ]
    )
    result.stdout.fnmatch_lines(["*incomparable  latency  *this test does not exist at HEAD~1 (?????????)"])
    assert left_over(repository) == 0


@pytest.mark.usefixtures("warm_processes")
def test_uncommitted_change_of_another_package_fails(repository: pytest.Pytester) -> None:
    """With `--diffopt-editable` the compared package is in another repository; its uncommitted change is reported."""
    other = repository.mkdir("other")
    commit(other, {"engine.py": "SECONDS = 0.02\n"})
    (other / "engine.py").write_text("SECONDS = 0.06\n")
    repository.makepyfile(
        test_it="""
import engine
import paced_time

def test_engine(latency_baseline):
    latency_baseline.check(paced_time.sleep, engine.SECONDS)
"""
    )
    repository.syspathinsert(other)
    result = repository.runpytest_inprocess("--diffopt-against=HEAD", "--diffopt-editable=other", *OPTIONS)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  head    60.0 ms per call, the working tree (????????? with an uncommitted change)"])


@pytest.mark.usefixtures("warm_processes")
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_calls_that_only_compute_are_timed_concurrently(
    paced: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share one core and are measured in CPU time; the verdicts equal those of interleaved timing."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    product = """
import paced_time

def unchanged():
    paced_time.compute(0.02)

def changed():
    paced_time.compute({})
"""
    tests = """
import product

def test_changed(latency_baseline):
    latency_baseline.check(product.changed)

def test_unchanged(latency_baseline):
    latency_baseline.check(product.unchanged)
"""
    commit(paced.path, {"product.py": product.format(0.02), "test_it.py": tests})
    (paced.path / "product.py").write_text(product.format(0.06))
    result = paced.runpytest_inprocess("--diffopt-against=HEAD", "-v", *OPTIONS)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["test_it.py::test_unchanged PASSED*"])
    result.stdout.fnmatch_lines(
        [
            "  head    60.0 ms of CPU time per call, the working tree (????????? with an uncommitted change)",
            "  base    20.0 ms of CPU time per call, HEAD (?????????)",
            "  not counted: no operation of the call, or of its denoiser, ran on the simulated GPU",
            "seen on *, both timed concurrently in two processes on one core, pipeline changed *",
        ]
    )


@pytest.mark.usefixtures("warm_processes")
def test_a_difference_of_one_process_is_not_a_difference_of_the_code(paced: pytest.Pytester) -> None:
    """The first process of head takes twice as long for its whole lifetime; the following pairs do not differ."""
    product = """
import os
import paced_time

def call():
    paced_time.sleep(float(os.environ["SECONDS"]))
"""
    tests = f"""
import os
from pathlib import Path
import product

def test_call(latency_baseline):
    is_head = Path(product.__file__).is_relative_to({str(paced.path)!r})
    starts = Path({str(paced.path)!r}, "starts_of_head" if is_head else "starts_of_base")
    is_first = not starts.exists()
    with starts.open("a") as file:
        file.write(".")
    os.environ["SECONDS"] = "0.04" if is_head and is_first else "0.02"
    latency_baseline.check(product.call)
"""
    commit(paced.path, {"product.py": product, "test_it.py": tests})
    result = paced.runpytest_inprocess("--diffopt-against=HEAD", "--diffopt-margin=0.5", "--diffopt-max-seconds=12")

    assert {len((paced.path / f"starts_of_{side}").read_text()) for side in ("base", "head")} == {9}
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--diffopt-against=maim"], "*--diffopt-against names no revision of *: 'maim' (did you mean 'main'?)*"),
        (
            ["--diffopt-against=HEAD", "--diffopt-update=all"],
            "*--diffopt-against and --diffopt-update cannot be combined: --diffopt-against writes no baseline*",
        ),
        (["--diffopt-against=HEAD", "-n2"], "*--diffopt-against and -n cannot be combined: concurrent tests*"),
        (["--diffopt-editable=."], "*--diffopt-editable needs --diffopt-against*"),
    ],
    ids=["no such revision", "update", "xdist", "editable alone"],
)
def test_conflicting_options_are_refused(repository: pytest.Pytester, options: list[str], message: str) -> None:
    """The usage error is raised before any worker starts."""
    result = repository.runpytest_inprocess(*options)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


def test_a_project_without_git_is_refused(project: pytest.Pytester) -> None:
    """The error names the requirement."""
    result = project.runpytest_inprocess("--diffopt-against=HEAD")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--diffopt-against needs a git repository*"])


@pytest.mark.usefixtures("warm_processes")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process_and_no_work_tree(
    repository: pytest.Pytester, ending: signal.Signals
) -> None:
    """Both after Ctrl-C and at the time limit of a CI runner."""
    pids = repository.path / "pids"
    repository.makepyfile(
        test_it=f"""
import os
from pathlib import Path
import paced_time

def call():
    paced_time.sleep(0.02)

def test_long(latency_baseline):
    with Path({str(pids)!r}).open("a") as file:
        print(os.getpid(), file=file)
    latency_baseline.check(call)
"""
    )
    commit(repository.path, {}, "a long test")
    command = [sys.executable, "-m", "pytest", "--diffopt-against=HEAD", "--diffopt-max-seconds=600", "-q"]
    command.append("--diffopt-margin=0.00001")
    # Shells make background processes ignore SIGINT, and child processes inherit that.
    restore_sigint = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    run = subprocess.Popen(
        command,
        cwd=repository.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=restore_sigint,  # noqa: PLW1509 - this process has no other threads
    )
    workers = _wait_for_two(pids, run)
    run.send_signal(ending)

    assert run.wait(timeout=600) == pytest.ExitCode.INTERRUPTED
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert left_over(repository) == 0


def _wait_for_two(pids: Path, run: subprocess.Popen[bytes]) -> list[int]:
    """Wait until both workers have written their process ids, and return them."""
    for _ in range(6000):
        written = [int(line) for line in pids.read_text().split()] if pids.exists() else []
        if len(written) == 2:
            return written
        assert run.poll() is None
        time.sleep(0.1)
    os.kill(run.pid, signal.SIGKILL)
    message = "the workers did not reach their timed call"
    raise AssertionError(message)
