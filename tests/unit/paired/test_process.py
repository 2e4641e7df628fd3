"""A worker that dies or is silent is told with its side and its last output, and nothing of it stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_diffopt.errors import ProbeError
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
    """Another folder, of which nothing is needed."""
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
    """A worker that runs."""
    one = started(side, other)
    yield one
    one.close()


def test_a_worker_runs_the_tests_that_it_is_reported(worker: Worker) -> None:
    """It says which it knows, runs one more than once, and says how each ended; a file that it lacks is left out."""
    assert worker.collected() == {"test_it.py::test_it"}
    for _ in range(2):
        ended = worker.ask(RunTest(nodeid="test_it.py::test_it"), Ready | EndedTest, doing="running a test")
        assert ended.outcome == "failed"
        assert "assert 1 == 2" in ended.text


def test_a_worker_that_does_not_come_to_life_is_reported_with_its_output(side: Side, other: Side) -> None:
    """What pytest printed of a conftest that cannot be imported stands in the error."""
    (side.folder / "conftest.py").write_text("raise RuntimeError('the extension was never built')")
    worker = started(side, other)
    with pytest.raises(ProbeError) as error:
        worker.collected()
    worker.close()

    first, second, *output = str(error.value).splitlines()
    assert first == "the base worker, main (1a2b3c4d5), ended while starting (exit status 4)"
    assert second == "  its last output:"
    assert any("the extension was never built" in line for line in output)


def test_a_worker_that_is_silent_is_ended(side: Side, other: Side) -> None:
    """It says for how long it was waited for and which option waits longer; the process is gone afterwards."""
    (side.folder / "conftest.py").write_text("import time\nprint('still here', flush=True)\ntime.sleep(600)")
    worker = started(side, other, seconds=0.2)
    with pytest.raises(ProbeError) as error:
        worker.collected()
    worker.close()

    lines = str(error.value).splitlines()
    assert lines[0] == "the base worker, main (1a2b3c4d5), said nothing for 0.2 s while starting"
    assert lines[-1] == "  give it more time: --diffopt-worker-timeout"
    assert not Path(f"/proc/{worker.pid}").exists()


def test_a_worker_ends_when_its_controller_is_gone(worker: Worker) -> None:
    """Nobody is left who would end it: it does that itself."""
    worker.collected()
    worker._line.close()

    assert worker._process.wait(timeout=60) == 3


def test_a_worker_that_is_killed_is_reported_by_its_signal(worker: Worker) -> None:
    """The signal is named."""
    worker.collected()
    worker._process.kill()
    worker._process.wait()

    with pytest.raises(ProbeError, match=r"ended while being asked \(signal SIGKILL\)"):
        worker.ask(Quit(), EndedTest, doing="being asked")
