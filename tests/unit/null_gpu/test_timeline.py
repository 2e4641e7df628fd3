"""The estimated timeline: CUDA's queues by hand-made logs, with the arithmetic in the comments."""

from pytest_diffopt.null_gpu.clock import ALL_STREAMS, Entry, EntryType
from pytest_diffopt.null_gpu.timeline import Span, spans, sync_cost_ns


def work(at_ns: int, takes_ns: int, *, stream: int = 0) -> Entry:
    """Return a launch."""
    return Entry(type=EntryType.WORK, host_ns=at_ns, device_ns=takes_ns, stream=stream)


def sync(at_ns: int, *, stream: int = 0, event: int = 0) -> Entry:
    """Return a sync with a stream, or with an event."""
    return Entry(type=EntryType.SYNC, host_ns=at_ns, stream=stream, event=event)


def whole(*log: Entry, until_ns: int) -> Span:
    """Return the timeline of a log from 0 to a time of the host."""
    (span,) = spans(log, [(0, 0), (len(log), until_ns)])
    return span


def test_host_runs_ahead_of_the_device() -> None:
    """Launches at 1 and 2 take 10 each: the device ends at 21, when the host has long gone on."""
    assert whole(work(1, 10), work(2, 10), until_ns=5) == Span(host_ns=5, waited_ns=0, busy_ns=20, total_ns=21)


def test_device_waits_for_a_slow_host() -> None:
    """Launches at 0 and 50 take 10 each: the device is idle from 10 to 50."""
    span = whole(work(0, 10), work(50, 10), until_ns=51)

    assert (span.busy_ns, span.total_ns, span.idle_ns) == (20, 60, 40)


def test_sync_moves_the_host() -> None:
    """At 1 the host waits until 100 for the work; its next launch, 4 later, is at 104 and ends at 114."""
    log = (work(0, 100), sync(1), work(5, 10))

    assert whole(*log, until_ns=6) == Span(host_ns=6, waited_ns=99, busy_ns=110, total_ns=114)


def test_cost_of_a_sync_is_what_leaving_it_out_saves() -> None:
    """Without the sync the launch at 5 starts as the first one ends, at 100, and ends at 110, 4 earlier."""
    log = (work(0, 100), sync(1), work(5, 10))

    assert sync_cost_ns(log, [(0, 0), (3, 6)], [1]) == 4


def test_sync_that_finds_nothing_pending_costs_nothing() -> None:
    """The work ended at 10, and the host comes at 20."""
    log = (work(0, 10), sync(20), work(25, 10))

    assert sync_cost_ns(log, [(0, 0), (3, 26)], [1]) == 0


def test_streams_overlap() -> None:
    """Two streams work at the same time: busy time is counted once."""
    span = whole(work(0, 10, stream=1), work(0, 6, stream=2), until_ns=1)

    assert (span.busy_ns, span.total_ns) == (10, 10)


def test_stream_waits_for_an_event() -> None:
    """Stream 2 starts after the event that stream 1 reaches at 10."""
    log = (
        work(0, 10, stream=1),
        Entry(type=EntryType.RECORD, host_ns=0, stream=1, event=7),
        Entry(type=EntryType.WAIT, host_ns=0, stream=2, event=7),
        work(0, 5, stream=2),
    )

    assert whole(*log, until_ns=1).total_ns == 15


def test_host_waits_for_an_event_or_for_all_streams() -> None:
    """The event is at 10; the last stream ends at 30."""
    log = (
        work(0, 10, stream=1),
        Entry(type=EntryType.RECORD, host_ns=0, stream=1, event=7),
        work(0, 30, stream=2),
    )

    assert whole(*log, sync(2, event=7), until_ns=2).waited_ns == 8
    assert whole(*log, sync(2, stream=ALL_STREAMS), until_ns=2).waited_ns == 28


def test_parts_add_up() -> None:
    """What is enqueued in a part belongs to it, also where it ends after the host has left."""
    log = (work(0, 100), work(10, 100), sync(11), work(20, 5))
    parts = spans(log, [(0, 0), (1, 5), (4, 21)])

    assert [part.total_ns for part in parts] == [100, 114]
    assert sum(part.total_ns for part in parts) == whole(*log, until_ns=21).total_ns
