"""The syncs of each pipeline on one device, and where two devices differ."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from benchmarks.agreement import differing_lines
from benchmarks.diffusers_tests.results import Outcome, Result


class SyncRow(Result, frozen=True, kw_only=True):
    """The syncs of one pipeline's call on one device.

    Attributes:
        reported: how often each line synchronized, as torch's sync debug mode reports it.
        all_syncs: the same of every sync, also of those that the mode cannot see.
    """

    reported: Mapping[str, int] = msgspec.field(default_factory=dict)
    all_syncs: Mapping[str, int] = msgspec.field(default_factory=dict)


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One pipeline that ran on both devices.

    Attributes:
        name: its group and class.
        simulated: on the simulated GPU.
        cuda: under torch's own CUDA code.
    """

    name: str
    simulated: SyncRow
    cuda: SyncRow

    @property
    def differences(self) -> Sequence[str]:
        """The lines whose reported syncs differ, with both numbers."""
        return list(differing_lines(self.simulated.reported, self.cuda.reported))

    @property
    def has_equal_all_syncs(self) -> bool:
        """Whether also the syncs that the mode cannot see are equal, line by line."""
        return self.simulated.all_syncs == self.cuda.all_syncs


def pairs(simulated: Sequence[SyncRow], cuda: Sequence[SyncRow]) -> Sequence[Pair]:
    """Return the pipelines that ran on both devices."""
    by_name = {row.name: row for row in cuda if row.outcome is Outcome.RAN}
    ran = [row for row in simulated if row.outcome is Outcome.RAN and row.name in by_name]
    return [Pair(name=row.name, simulated=row, cuda=by_name[row.name]) for row in ran]


def report(simulated: Sequence[SyncRow], cuda: Sequence[SyncRow]) -> Iterator[str]:
    """Yield what differs, what ran on one device only with the reason, and the totals."""
    both = pairs(simulated, cuda)
    for pair in both:
        if pair.differences:
            yield pair.name
            yield from (f"  {one}" for one in pair.differences)
    names = {pair.name for pair in both}
    for device, rows in (("simulated GPU", simulated), ("CUDA", cuda)):
        left = [row for row in rows if row.name not in names and row.outcome in {Outcome.FAILED, Outcome.CRASHED}]
        yield from (f"{row.name}: not compared, {device}: {row.reason}" for row in left)
    equal, all_equal = sum(not pair.differences for pair in both), sum(pair.has_equal_all_syncs for pair in both)
    yield (
        f"of {len(both)} pipelines that ran on both, {equal} have equal syncs line by line; "
        f"{all_equal} also those that the sync debug mode cannot see"
    )
