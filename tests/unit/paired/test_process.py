"""A worker that exits or does not answer raises an error with its side and its last output, and is terminated."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.paired import process
from pytest_diffopt.paired.checkout import Side
from pytest_diffopt.paired.messages import EndedTest, Quit, Ready, RunTest
from pytest_diffopt.paired.process import Worker, WorkerStart

TEST = "def test_it():\n    assert 1 == 2\n"


@pytest.fixture
def side(tmp_path: Path) -> Side:
    """A folder with one test, which fails."""
    (tmp_path / "test_it.py").write_text(TEST)
    return Side(label="main (1a2b3c4d5)", tree=tmp_path, folder=tmp_path, import_paths=(tmp_path,))


@pytest.fixture
def other(tmp_path: Path) -> Side:
    """Another folder, which need not exist."""
    elsewhere = tmp_path / "elsewhere"
    return Side(label="head", tree=elsewhere, folder=elsewhere, import_paths=())


def started(side: Side, other: Side, *, seconds: float = 120.0) -> Worker:
    """Start a worker."""
    options = ("-p", "no:cacheprovider")
    return Worker(
        "base", side, other, WorkerStart(files=("test_it.py", "test_new.py"), options=options, timeout_seconds=seconds)
    )


@pytest.fixture
def worker(side: Side, other: Side) -> Iterator[Worker]:
    """A running worker."""
    one = started(side, other)
    yield one
    one.close()


def test_worker_runs_the_requested_tests(worker: Worker) -> None:
    """It reports its tests and each outcome, and runs a test twice; a file missing in its tree is left out."""
    assert worker.collected() == {"test_it.py::test_it"}
    for _ in range(2):
        ended = worker.ask(RunTest(nodeid="test_it.py::test_it"), Ready | EndedTest, doing="running a test")
        assert ended.outcome == "failed"
        assert "assert 1 == 2" in ended.text


def test_worker_that_cannot_start_is_reported_with_its_output(side: Side, other: Side) -> None:
    """The error contains pytest's message about a conftest that cannot be imported."""
    (side.folder / "conftest.py").write_text("raise RuntimeError('the extension was never built')")
    worker = started(side, other)
    with pytest.raises(ProbeError) as error:
        worker.collected()
    worker.close()

    first, second, *output = str(error.value).splitlines()
    assert first == "the base worker, main (1a2b3c4d5), exited while starting (exit status 4)"
    assert second == "  its last output:"
    assert any("the extension was never built" in line for line in output)


def test_worker_that_does_not_answer_is_terminated(side: Side, other: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error contains the time limit and the option that raises it."""
    monkeypatch.setattr(process, "_SECONDS_TO_END", 0.1)
    (side.folder / "conftest.py").write_text("import time\nprint('still here', flush=True)\ntime.sleep(600)")
    worker = started(side, other, seconds=0.2)
    with pytest.raises(ProbeError) as error:
        worker.collected()
    worker.close()

    lines = str(error.value).splitlines()
    assert lines[0] == "the base worker, main (1a2b3c4d5), sent no answer for 0.2 s while starting"
    assert lines[-1] == "  to wait longer: --diffopt-worker-timeout SECONDS"
    assert not Path(f"/proc/{worker.pid}").exists()


def test_worker_exits_when_its_controller_is_gone(worker: Worker) -> None:
    """No other process would terminate it."""
    worker.collected()
    worker._connection.close()

    assert worker._process.wait(timeout=600) == 3


def test_killed_worker_is_reported_with_its_signal(worker: Worker) -> None:
    """The error names the signal instead of an exit status."""
    worker.collected()
    worker._process.kill()
    worker._process.wait()

    with pytest.raises(ProbeError, match=r"exited while ending \(signal SIGKILL\)"):
        worker.ask(Quit(), EndedTest, doing="ending")
