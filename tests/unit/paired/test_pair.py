"""Two workers are timed side by side where each needs one thread of the processor and nothing else."""

import pytest

from pytest_diffopt.paired.messages import Ready
from pytest_diffopt.paired.pair import BothReady
from pytest_diffopt.records import PairedTiming
from tests.unit.guards.guard_examples import ENVIRONMENT, SUBJECT


def ready(*, num_threads: int = 1, processor_share: float = 1.0) -> Ready:
    """Return what a worker says of its call."""
    return Ready(
        subject=SUBJECT,
        environment=ENVIRONMENT,
        warmup_ns=(1,),
        num_steps=1,
        num_threads=num_threads,
        processor_share=processor_share,
        card_uuid="",
        own_modules=1,
        foreign_modules=(),
    )


@pytest.mark.parametrize("share", [1.0, 0.9976, 1.0024])
def test_calls_that_only_compute_are_timed_side_by_side(share: float) -> None:
    """A quarter of a percent may be the clock's."""
    both = BothReady(base=ready(), head=ready(processor_share=share))

    assert both.timing is PairedTiming.SIDE_BY_SIDE


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(ready(processor_share=0.997), id="it waits"),
        pytest.param(ready(processor_share=1.003), id="another thread computes"),
        pytest.param(ready(num_threads=2), id="torch computes with two threads"),
        pytest.param(ready(num_threads=0, processor_share=0.0), id="on a card"),
    ],
)
def test_all_others_are_timed_in_turn(other: Ready) -> None:
    """Whichever side it is: the processor time of the one would not be comparable."""
    assert BothReady(base=ready(), head=other).timing is PairedTiming.IN_TURN
    assert BothReady(base=other, head=ready()).timing is PairedTiming.IN_TURN
