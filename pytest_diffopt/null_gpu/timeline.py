"""An estimated timeline from the virtual clock's log: when the device is busy, and what each sync costs. Pure.

The rules are those of csrc/clock.c, by which the clock ran. With `h` for the host's clock and `s` for that of a stream,
in nanoseconds, each entry of the log does one of these, where `t` is when the host reached it by the machine's clock
and `waited` is what it has waited before:

    any entry                h = t + waited
    work of duration d       s = max(s, h) + d
    record of an event e     e = max(s, h)
    a stream waits for e     s = max(s, e)
    sync                     waited = waited + max(0, w - h), w: the clock of the stream, the event or the last stream

This is the queue model of CUDA's streams (CUDA C++ Programming Guide, "Asynchronous Concurrent Execution"). Work of
different streams does not slow each other down, and a launch reaches the device at once.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pytest_diffopt.null_gpu.clock import ALL_STREAMS, Entry, EntryType


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A part of the timeline, from one position of the log to another; all times are estimates in nanoseconds.

    Attributes:
        host_ns: the host's own time, without waiting.
        waited_ns: how long the host waits for the device.
        busy_ns: the time in which at least one stream works.
        total_ns: from the host's arrival at the first position to the end of what was enqueued before the last one, or
            to the host's arrival there if that is later.
    """

    host_ns: int
    waited_ns: int
    busy_ns: int
    total_ns: int

    @property
    def idle_ns(self) -> int:
        """The time in which no stream works."""
        return max(0, self.total_ns - self.busy_ns)


@dataclass(kw_only=True)
class _State:
    streams: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    events: dict[int, int] = field(default_factory=dict)
    waited_ns: int = 0
    end_ns: int = 0  # of all work so far
    busy_ns: int = 0

    def advance(self, entry: Entry, *, syncs: bool) -> None:
        """Apply one entry; `syncs` is False for a sync that is left out."""
        host = entry.host_ns + self.waited_ns
        if entry.type in {EntryType.WORK, EntryType.GRAPH_WORK}:
            start = max(self.streams[entry.stream], host)
            end = self.streams[entry.stream] = start + entry.device_ns
            self.busy_ns += max(0, end - max(start, self.end_ns))
            self.end_ns = max(self.end_ns, end)
        elif entry.type is EntryType.RECORD:
            self.events[entry.event] = max(self.streams[entry.stream], host)
        elif entry.type is EntryType.WAIT:
            self.streams[entry.stream] = max(self.streams[entry.stream], self.events.get(entry.event, 0))
        elif syncs:
            self.waited_ns += max(0, self._target(entry) - host)

    def _target(self, entry: Entry) -> int:
        if entry.event:
            return self.events.get(entry.event, 0)
        return self.end_ns if entry.stream == ALL_STREAMS else self.streams[entry.stream]


def spans(
    log: Sequence[Entry], starts: Sequence[tuple[int, int]], *, without: Collection[int] = ()
) -> tuple[Span, ...]:
    """Return the timeline of each part of a log.

    Args:
        log: the entries.
        starts: for each part, its first position in the log and when the host reached it by the machine's clock, in
            nanoseconds; the last one is the end.
        without: positions of syncs that are left out, to see what they cost.
    """
    state, found = _State(), list[Span]()
    left_out = frozenset(without)
    for (first, start_ns), (last, end_ns) in pairwise(starts):
        waited, busy, begin = state.waited_ns, state.busy_ns, max(start_ns + state.waited_ns, state.end_ns)
        for position in range(first, last):
            state.advance(log[position], syncs=position not in left_out)
        total = max(end_ns + state.waited_ns, state.end_ns) - begin
        found.append(
            Span(
                host_ns=end_ns - start_ns,
                waited_ns=state.waited_ns - waited,
                busy_ns=state.busy_ns - busy,
                total_ns=total,
            )
        )
    return tuple(found)


def sync_cost_ns(log: Sequence[Entry], starts: Sequence[tuple[int, int]], syncs: Collection[int]) -> int:
    """Return by how much these syncs lengthen the whole log, in nanoseconds: its end with them less that without."""
    bounds = (starts[0], starts[-1])
    with_them, without = (spans(log, bounds, without=left_out)[0].total_ns for left_out in ((), syncs))
    return with_them - without
