"""The share of CPU time in a call's time is measured independently of other load on the same core."""

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
    """Return a factory of calls of 100 ns with given times of computing and of waiting for a core."""
    schedstat = tmp_path / "schedstat"
    clock = {"computed": 7, "waited": 11}
    monkeypatch.setattr(cpu_time, "_SCHEDSTAT", schedstat)
    monkeypatch.setattr("time.process_time_ns", lambda: clock["computed"])

    def injected(
        computed: tuple[int, ...], waited: tuple[int, ...] = (0,), *, has_schedstat: bool = True
    ) -> Callable[[], int]:
        calls = zip(itertools.cycle(computed), itertools.cycle(waited), strict=False)

        def update_schedstat() -> None:
            if has_schedstat:
                schedstat.write_text(f"{clock['computed']} {clock['waited']} 3\n")

        def call() -> int:
            for name, by in zip(clock, next(calls), strict=True):
                clock[name] += by
            update_schedstat()
            return 100

        update_schedstat()
        return call

    return injected


def test_both_times_are_reported(inject: Injection) -> None:
    """The wall-clock time and the CPU time."""
    assert timed(inject((60,))) == Timed(duration_ns=100, cpu_ns=60)


@pytest.mark.parametrize(
    ("computed", "waited", "share"),
    [
        pytest.param((100,), (0,), 1.0, id="the call only computes"),
        pytest.param((50,), (0,), 0.5, id="the call sleeps half of its time"),
        pytest.param((50,), (50,), 1.0, id="another process uses the core half of the time"),
        pytest.param((40,), (20,), 0.5, id="the call sleeps, and another process uses the core"),
        pytest.param((50,), (51,), 1.0, id="the two clocks differ slightly"),
        pytest.param((200,), (0,), 2.0, id="another thread of the call computes"),
        pytest.param((60, 60, 99, 60, 60), (0,), 0.99, id="the least disturbed call counts"),
    ],
)
def test_share_excludes_other_load(
    inject: Injection, computed: tuple[int, ...], waited: tuple[int, ...], share: float
) -> None:
    """The share of 100 ns, in the least disturbed of some calls."""
    assert cpu_share(inject(computed, waited)) == pytest.approx(share)


@pytest.mark.parametrize(
    ("computed", "duration_ns", "calls"),
    [(100, 100, 1), (50, 100, 20), (50, 250_000_000, 8), (50, 60_000_000_000, 5)],
    ids=["undisturbed", "short", "of a quarter of a second", "of a minute"],
)
def test_disturbed_call_is_repeated(inject: Injection, computed: int, duration_ns: int, calls: int) -> None:
    """Up to 20 times, for about two seconds, but at least five times; a call may take minutes."""
    made = []
    call = inject((computed * duration_ns // 100,))

    def counted() -> int:
        made.append(call())
        return duration_ns

    cpu_share(counted)
    assert len(made) == calls


@pytest.mark.parametrize("text", [None, "", "0 0", "no figures here"])
def test_without_schedstat_other_load_is_not_excluded(inject: Injection, tmp_path: Path, text: str | None) -> None:
    """Only Linux has the file, and not every kernel: then a busy core looks like a call that blocks."""
    call = inject((50,), (50,), has_schedstat=False)
    if text is not None:
        (tmp_path / "schedstat").write_text(text)

    assert cpu_share(call) == pytest.approx(0.5)
