"""The lines at which denoisers do not compile to one graph, each with its fix in a sentence."""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.atlas.entries import Break, Entry

# What the source of the line contains, and the fix; the first that matches is taken.
_BY_SOURCE = (
    ('torch.device("cpu")', "Pass `device=` to each factory instead, or fill the cache before the model is compiled."),
    ("nonzero", "Keep the mask: how many indices it selects is not known while the graph is traced."),
    (".tolist()", "Compute the lengths before the denoiser is called, and pass them as integers."),
    (".item()", "Keep the value a tensor, or compute it before the denoiser is called."),
)
_ELSE = "Move what Dynamo names out of the denoiser's `forward`."


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakingLine:
    """A line that breaks the graph of several denoisers.

    Attributes:
        entries: the entries of the pipelines.
        line: the line, and Dynamo's reason.
        fix: what to change, in a sentence.
    """

    entries: tuple[Entry, ...]
    line: Break
    fix: str


def breaking_lines(entries: Iterable[Entry]) -> list[BreakingLine]:
    """Return the lines with graph breaks, those of most pipelines first."""
    found: dict[Break, list[Entry]] = {}
    for entry in entries:
        for line in dict.fromkeys(line for denoiser in entry.denoisers or () for line in denoiser.breaks):
            found.setdefault(line, []).append(entry)
    lines = [BreakingLine(entries=tuple(group), line=line, fix=fix_of(line)) for line, group in found.items()]
    return sorted(lines, key=lambda one: (-len(one.entries), one.line.where))


def fix_of(line: Break) -> str:
    """Return what makes one graph of the code around a line."""
    return next((fix for text, fix in _BY_SOURCE if text in line.where.source), _ELSE)
