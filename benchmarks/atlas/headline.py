"""The figures that summarize an atlas."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.atlas.entries import Atlas, Denoiser, Entry, Loop
from benchmarks.diffusers_tests.results import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """How many of the pipelines, loops or denoisers have a property.

    Attributes:
        count: those that have it.
        total: all for which it is known.
        text: what they do, as the end of a sentence.
    """

    count: int
    total: int
    text: str

    def __str__(self) -> str:
        """Return the sentence."""
        return f"{self.count} of {self.total} {self.text}"


def measured(atlas: Atlas) -> list[Entry]:
    """Return the entries of the pipelines that ran."""
    return [entry for entry in atlas.entries if entry.outcome is Outcome.RAN]


def shares(atlas: Atlas) -> tuple[Share, ...]:
    """Return the figures of the headline."""
    entries = measured(atlas)
    loops = [entry.loop for entry in entries if entry.loop is not None]
    denoisers = [one for entry in entries for one in entry.denoisers or ()]
    tried = "pipelines of the tests tried so far" if atlas.left else "pipelines of diffusers' fast tests"
    return (
        Share(count=len(entries), total=len(atlas.entries), text=f"{tried} were measured"),
        *_loop_shares(loops),
        *_compile_shares(denoisers),
        _memory_share(entries),
    )


def _loop_shares(loops: Sequence[Loop]) -> Iterator[Share]:
    several = [one for one in loops if one.num_steps > 1]
    later = sum(one.syncs_per_later_step > 0 for one in several)
    yield Share(count=later, total=len(several), text="denoise loops synchronize the CPU with the GPU in later steps")
    first = sum(one.syncs_in_first_step > 0 and not one.syncs_per_later_step for one in several)
    yield Share(count=first, total=len(several), text="denoise loops do so in the first step alone")


def _compile_shares(denoisers: Sequence[Denoiser]) -> Iterator[Share]:
    broken = sum(not one.is_whole for one in denoisers)
    yield Share(count=broken, total=len(denoisers), text="denoisers do not compile to one graph")
    again = sum(any(not each.changes_shape for each in one.recompiles) for one in denoisers)
    yield Share(
        count=again,
        total=len(denoisers),
        text="denoisers recompile in the first call, or in another one of the same size",
    )
    named = [one for one in denoisers if one.is_regional is not None]
    regional = sum(not one.is_regional for one in named)
    yield Share(count=regional, total=len(named), text="denoisers have repeated blocks that fail with `fullgraph=True`")


def _memory_share(entries: Sequence[Entry]) -> Share:
    memories = [entry.memory for entry in entries if entry.memory is not None]
    count = sum(one.growth_bytes > 0 for one in memories)
    return Share(count=count, total=len(memories), text="pipelines keep memory between calls")
