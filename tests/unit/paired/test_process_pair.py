"""Two workers are timed concurrently if each computes in one CPU thread and never blocks."""

import pytest

from pytest_diffopt.paired.messages import Ready
from pytest_diffopt.paired.process_pair import BothReady
from pytest_diffopt.records import PairedTiming
from tests.unit.guards.guard_examples import ENVIRONMENT, SUBJECT


def ready(*, num_threads: int = 1, cpu_share: float = 1.0) -> Ready:
    """Return a worker's description of its warm call."""
    return Ready(
        subject=SUBJECT,
        environment=ENVIRONMENT,
        warmup_ns=(1,),
        num_steps=1,
        num_threads=num_threads,
        cpu_share=cpu_share,
        gpu_uuid="",
        own_modules=1,
        foreign_modules=(),
    )


@pytest.mark.parametrize("share", [1.0, 0.9976, 1.0024])
def test_calls_that_only_compute_are_timed_concurrently(share: float) -> None:
    """A difference of a quarter of a percent may be an error of the clocks."""
    both = BothReady(base=ready(), head=ready(cpu_share=share))

    assert both.timing is PairedTiming.CONCURRENT
    assert both.why_interleaved == ""


@pytest.mark.parametrize(
    ("other", "why"),
    [
        pytest.param(
            ready(cpu_share=0.5),
            "the CPU time of a call is 50.0 % of its wall-clock time: it blocks, or uses other threads",
            id="the call blocks",
        ),
        pytest.param(
            ready(cpu_share=1.003),
            "the CPU time of a call is 100.3 % of its wall-clock time: it blocks, or uses other threads",
            id="another thread computes",
        ),
        pytest.param(
            ready(num_threads=2),
            "torch uses 2 threads; set OMP_NUM_THREADS=1 to time both on one core",
            id="torch uses two threads",
        ),
        pytest.param(ready(num_threads=0, cpu_share=0.0), "", id="on a GPU"),
    ],
)
def test_all_other_calls_are_interleaved(other: Ready, why: str) -> None:
    """One such side suffices; on a CPU the reason is given, because the user can change it."""
    for both in (BothReady(base=ready(), head=other), BothReady(base=other, head=ready())):
        assert both.timing is PairedTiming.INTERLEAVED
        assert both.why_interleaved == why
