"""What share of a call's time is computing, whoever else wants the same core meanwhile."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_diffopt.paired import cpu_time
from pytest_diffopt.paired.cpu_time import cpu_share, timed
from pytest_diffopt.paired.messages import Timed

Injection = Callable[..., Callable[[], int]]


@pytest.fixture
def inject(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Injection:
    """Return what makes calls of 100 ns that compute, and wait for a core, for as long as they are told."""
    scheduled = tmp_path / "schedstat"
    clock = {"computed": 7, "waited": 11}
    monkeypatch.setattr(cpu_time, "_SCHEDULED", scheduled)
    monkeypatch.setattr("time.process_time_ns", lambda: clock["computed"])

    def injected(
        computed: tuple[int, ...], waited: tuple[int, ...] = (0,), *, is_told: bool = True
    ) -> Callable[[], int]:
        calls = zip(itertools.cycle(computed), itertools.cycle(waited), strict=False)

        def progress() -> None:
            if is_told:
                scheduled.write_text(f"{clock['computed']} {clock['waited']} 3\n")

        def call() -> int:
            for name, by in zip(clock, next(calls), strict=True):
                clock[name] += by
            progress()
            return 100

        progress()
        return call

    return injected


def test_both_times_are_reported(inject: Injection) -> None:
    """By the clock on the wall, and of the processor."""
    assert timed(inject((60,))) == Timed(duration_ns=100, processor_ns=60)


@pytest.mark.parametrize(
    ("computed", "waited", "share"),
    [
        pytest.param((100,), (0,), 1.0, id="it computes"),
        pytest.param((50,), (0,), 0.5, id="it sleeps half of its time"),
        pytest.param((50,), (50,), 1.0, id="it computes, and another has the core half of the time"),
        pytest.param((40,), (20,), 0.5, id="it sleeps, and another has the core"),
        pytest.param((50,), (51,), 1.0, id="the two clocks are not quite alike"),
        pytest.param((200,), (0,), 2.0, id="another thread computes too"),
        pytest.param((60, 60, 99, 60, 60), (0,), 0.99, id="the least disturbed counts"),
    ],
)
def test_the_share_is_what_the_call_itself_does(
    inject: Injection, computed: tuple[int, ...], waited: tuple[int, ...], share: float
) -> None:
    """Of 100 ns, in the least disturbed of five calls."""
    assert cpu_share(inject(computed, waited)) == pytest.approx(share)


def test_a_call_that_computes_is_made_once(inject: Injection) -> None:
    """It may take minutes; what is disturbed is asked again, five times at most."""
    made = []

    def counted(call: Callable[[], int]) -> Callable[[], int]:
        def counting() -> int:
            made.append(call)
            return call()

        return counting

    cpu_share(counted(inject((100,))))
    assert len(made) == 1
    cpu_share(counted(inject((50,))))
    assert len(made) == 6


@pytest.mark.parametrize("text", [None, "", "0 0", "no figures here"])
def test_a_system_that_tells_no_waits_counts_them_all(inject: Injection, tmp_path: Path, text: str | None) -> None:
    """Only Linux has the file, and a kernel may be built without: then a busy core looks like a call that waits."""
    call = inject((50,), (50,), is_told=False)
    if text is not None:
        (tmp_path / "schedstat").write_text(text)

    assert cpu_share(call) == pytest.approx(0.5)
