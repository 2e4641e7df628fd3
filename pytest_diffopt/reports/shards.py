"""The sessions of a report: their devices and versions, and version differences between them."""

from collections.abc import Iterator, Mapping, Sequence

from pytest_diffopt.reports.document import Report, Shard
from pytest_diffopt.session.ledger import LedgerEntry

_MISSING = "not installed"
#: The distributions whose versions every report shows at the top.
_SHOWN_VERSIONS = ("torch", "diffusers")


def environment_line(shards: Sequence[Shard]) -> str:
    """Return one line, such as `NVIDIA H200 and NVIDIA L4 · torch 2.13.0 · diffusers 0.42.1`."""
    versions = [
        f"{name} {_listed(found)}"
        for name in _SHOWN_VERSIONS
        if (found := [one for one in _versions(shards, name) if one != _MISSING])
    ]
    return " · ".join([_listed(list(dict.fromkeys(shard.environment.device for shard in shards))), *versions])


def version_differences(shards: Sequence[Shard]) -> Iterator[str]:
    """Yield one line for each distribution whose version differs between shards, with the shards of each version."""
    names = sorted({name for shard in shards for name in shard.environment.versions})
    for name in names:
        versions = _versions(shards, name)
        if len(versions) > 1:
            yield f"{name} " + ", ".join(f"{one} ({', '.join(shown)})" for one, shown in versions.items())


def by_gpu(report: Report) -> Mapping[str, Sequence[LedgerEntry]]:
    """Group the verdicts by GPU, because figures of different GPUs do not belong in one table."""
    gpus = report.gpus()
    groups: dict[str, list[LedgerEntry]] = {}
    for entry in report.verdicts:
        groups.setdefault(gpus[entry.shard], []).append(entry)
    return groups


def _versions(shards: Sequence[Shard], name: str) -> dict[str, list[str]]:
    """Return each version of a distribution with the names of its shards."""
    found: dict[str, list[str]] = {}
    for shard in shards:
        found.setdefault(shard.environment.versions.get(name, _MISSING), []).append(shard.name)
    return found


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
