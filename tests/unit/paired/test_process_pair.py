"""Two workers are timed side by side where each needs one thread of the processor and nothing else."""

import pytest

from pytest_diffopt.paired.messages import Ready
from pytest_diffopt.paired.process_pair import BothReady
from pytest_diffopt.records import PairedTiming
from tests.unit.guards.guard_examples import ENVIRONMENT, SUBJECT


def ready(*, num_threads: int = 1, cpu_share: float = 1.0) -> Ready:
    """Return what a worker says of its call."""
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
def test_calls_that_only_compute_are_timed_side_by_side(share: float) -> None:
    """A quarter of a percent may be the clock's."""
    both = BothReady(base=ready(), head=ready(cpu_share=share))

    assert both.timing is PairedTiming.CONCURRENT
    assert both.why_interleaved == ""


@pytest.mark.parametrize(
    ("other", "why"),
    [
        pytest.param(
            ready(cpu_share=0.5),
            "a call needs the processor for 50.0 % of its time: it waits, or other threads compute for it",
            id="it waits",
        ),
        pytest.param(
            ready(cpu_share=1.003),
            "a call needs the processor for 100.3 % of its time: it waits, or other threads compute for it",
            id="another thread computes",
        ),
        pytest.param(
            ready(num_threads=2),
            "torch computes with 2 threads; OMP_NUM_THREADS=1 lets both share a core",
            id="torch computes with two threads",
        ),
        pytest.param(ready(num_threads=0, cpu_share=0.0), "", id="on a GPU"),
    ],
)
def test_all_others_are_timed_in_turn(other: Ready, why: str) -> None:
    """Whichever side it is, and the reason is said where a user can do something about it."""
    for both in (BothReady(base=ready(), head=other), BothReady(base=other, head=ready())):
        assert both.timing is PairedTiming.INTERLEAVED
        assert both.why_interleaved == why
