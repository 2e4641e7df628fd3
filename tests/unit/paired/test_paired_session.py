"""A paired session times its open tests in rounds, each by a new pair of processes; no process is started here."""

import math
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.guards.verdict import Outcome
from pytest_diffopt.paired import session as paired_session
from pytest_diffopt.paired.checkout import Side
from pytest_diffopt.paired.process import WorkerStart
from pytest_diffopt.paired.sampling import PairedSamples, SamplingPlan
from pytest_diffopt.paired.session import PairedSession
from pytest_diffopt.records import PairedBlock, PairedTiming
from pytest_diffopt.session.progress import no_progress
from pytest_diffopt.session.settings import Settings
from tests.unit.guards.guard_examples import ENVIRONMENT, SUBJECT

MS = 1_000_000
SIDE = Side(label="code", tree=Path(), folder=Path(), import_paths=())


@dataclass
class Processes:
    """A fake for pairs of processes, whose tests have given slowdowns, and which differ slightly.

    Attributes:
        slowdowns: of each test, as a fraction; an exception is raised instead of timing it.
        seconds_of_block: how long a block takes.
        spread: how much processes differ, as a fraction.
        rounds: the tests that each pair of processes timed.
        head_first: for each pair, whether head started first.
        closed: the number of processes that were ended.
    """

    slowdowns: dict[str, float | BaseException]
    seconds_of_block: float = 2.0
    spread: float = 0.003
    rounds: list[list[str]] = field(default_factory=list)
    head_first: list[bool] = field(default_factory=list)
    closed: int = 0
    noise: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - no secret

    def start(self, base: Side, head: Side, _start: WorkerStart, *, head_first: bool) -> Any:
        """Start a pair."""
        self.rounds.append([])
        self.head_first.append(head_first)
        both = [SimpleNamespace(side=side, close=self.close) for side in (base, head)]
        return SimpleNamespace(base=both[0], head=both[1], both=both)

    def close(self) -> None:
        """End a process."""
        self.closed += 1

    @contextmanager
    def at_call(self, _workers: Any, nodeid: str, _progress: Any, *, at_once: bool) -> Iterator[Any]:
        """Bring a test to its call."""
        assert at_once
        self.rounds[-1].append(nodeid)
        if isinstance(failure := self.slowdowns[nodeid], BaseException):
            raise failure
        head = SimpleNamespace(subject=SUBJECT, num_steps=0, environment=ENVIRONMENT)
        yield SimpleNamespace(head=head, timing=PairedTiming.INTERLEAVED, why_interleaved="", repeats=1)

    def time_pair(self, _workers: Any, _ready: Any, plan: SamplingPlan, **_: Any) -> PairedSamples:
        """Time blocks for as long as planned."""
        slowdown = self.slowdowns[self.rounds[-1][-1]]
        assert isinstance(slowdown, float)
        head_ns = round(100 * MS * (1 + slowdown) * math.exp(self.noise.gauss(0, self.spread)))
        block = PairedBlock(base_ns=(100 * MS, 100 * MS), head_ns=(head_ns, head_ns))
        count = math.ceil(plan.max_seconds / self.seconds_of_block)
        return PairedSamples(plan=plan, blocks=[block] * count, spent_seconds=count * self.seconds_of_block)


def opened() -> AbstractContextManager[tuple[Side, Side]]:
    """Check out both sides."""
    return nullcontext((SIDE, SIDE))


def session(processes: Processes, monkeypatch: pytest.MonkeyPatch, **options: Any) -> PairedSession:
    """Return a session of the tests of these processes."""
    monkeypatch.setattr(paired_session, "start_workers", processes.start)
    monkeypatch.setattr(paired_session, "paused_at_call", processes.at_call)
    monkeypatch.setattr(paired_session, "time_pair", processes.time_pair)
    monkeypatch.setattr(paired_session, "with_counts", lambda record, _workers: record)
    start = WorkerStart(files=(), options=(), timeout_seconds=1.0)
    one = PairedSession(Settings(**options), opened, start)
    one.use_tests(list(processes.slowdowns))
    return one


def outcome(one: PairedSession, nodeid: str) -> Outcome:
    """Compare a test."""
    return one.compare(nodeid, no_progress)[1].outcome


def test_tests_share_their_pairs_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first test needs more pairs than the others, which are decided meanwhile."""
    processes = Processes({"a": 0.05, "b": 0.0, "c": 0.05})
    one = session(processes, monkeypatch)

    assert [outcome(one, nodeid) for nodeid in "abc"] == [Outcome.REGRESSED, Outcome.PASSED, Outcome.REGRESSED]
    assert processes.rounds == [["a", "b", "c"]] * 5 + [["a", "c"]] * 4
    assert processes.closed == 2 * 9


def test_either_side_starts_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is random, with a fixed seed, so that it does not depend on the side."""
    first, again = Processes({"a": 0.05}), Processes({"a": 0.05})
    for processes in (first, again):
        outcome(session(processes, monkeypatch), "a")

    assert set(first.head_first) == {True, False}
    assert first.head_first == again.head_first


def test_a_failure_is_raised_when_its_test_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends its round, because a worker may be gone; the other tests are timed by the next pairs."""
    processes = Processes({"a": 0.0, "b": ProbeError("the head worker exited"), "c": 0.0})
    one = session(processes, monkeypatch)

    assert outcome(one, "a") is Outcome.PASSED
    assert processes.rounds[:2] == [["a", "b"], ["a", "c"]]
    with pytest.raises(ProbeError, match="the head worker exited"):
        one.compare("b", no_progress)
    assert outcome(one, "c") is Outcome.PASSED
    assert processes.closed == 2 * len(processes.rounds)


def test_a_skip_is_raised_when_its_test_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that skips itself in a worker is skipped."""
    one = session(Processes({"a": 0.0, "b": pytest.skip.Exception("skipped at main")}), monkeypatch)

    assert outcome(one, "a") is Outcome.PASSED
    with pytest.raises(pytest.skip.Exception, match="skipped at main"):
        one.compare("b", no_progress)


def test_an_interruption_ends_both_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during any test is not kept for later."""
    processes = Processes({"a": 0.0, "b": KeyboardInterrupt()})
    one = session(processes, monkeypatch)

    with pytest.raises(KeyboardInterrupt):
        one.compare("a", no_progress)
    assert processes.closed == 2


def test_a_repeated_test_is_timed_from_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rerun gets new pairs of processes, and does not raise the level of the others twice."""
    processes = Processes({"a": 0.05})
    one = session(processes, monkeypatch)

    assert [outcome(one, "a"), outcome(one, "a")] == [Outcome.REGRESSED] * 2
    assert len(processes.rounds) == 2 * 9


def test_slow_calls_get_the_pairs_that_a_change_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 10 s would leave six pairs of processes, which cannot show that head is slower."""
    processes = Processes({"a": 0.05}, seconds_of_block=10.0)
    record, verdict = session(processes, monkeypatch).compare("a", no_progress)

    assert verdict.outcome is Outcome.REGRESSED
    assert (len(record.blocks_of_pairs), record.spent_seconds) == (9, 90.0)


def test_a_budget_that_is_spent_ends_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    """After nine pairs of processes; the hint names the budget for as many as decide."""
    processes = Processes({"a": 0.004}, seconds_of_block=10.0, spread=0.02)
    record, verdict = session(processes, monkeypatch).compare("a", no_progress)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert (len(record.blocks_of_pairs), record.spent_seconds) == (9, 90.0)
    assert verdict.explanation[-1] == (
        "measure longer: 14 pairs of processes would decide it, --diffopt-max-seconds 168"
    )


def test_blocks_that_overshoot_leave_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of thirty pairs is within the budget, although each of them takes a little longer than its share."""
    processes = Processes({"a": 0.0}, seconds_of_block=0.3, spread=0.1)
    record, _ = session(processes, monkeypatch).compare("a", no_progress)

    assert len(record.blocks_of_pairs) == 30
    assert record.spent_seconds <= 60.3


def test_calibration_uses_the_whole_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decided test goes on, because the spread is what is measured."""
    processes = Processes({"a": 0.0})
    record, verdict = session(processes, monkeypatch, calibrate=True).calibrate("a", no_progress)

    assert verdict.outcome is Outcome.PASSED
    assert len(record.pairs) == len(processes.rounds) == 30


def test_workers_that_do_not_start_fail_every_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are started once; each test gets the error."""
    one, starts = session(Processes({"a": 0.0, "b": 0.0}), monkeypatch), []

    def fail(*_: Any, **__: Any) -> None:
        starts.append(1)
        message = "the base worker exited while starting"
        raise ProbeError(message)

    monkeypatch.setattr(paired_session, "start_workers", fail)
    for nodeid in "ab":
        with pytest.raises(ProbeError, match="exited while starting"):
            one.compare(nodeid, no_progress)
    assert len(starts) == 1
