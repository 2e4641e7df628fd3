"""Which rows of the simulated GPU's sync table the comparison with CUDA confirms."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.agreement import Agreement, Figure

_SYNCS = frozenset({Figure.SYNCS, Figure.ALL_SYNCS})


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedRows:
    """The rows that were compared, by name.

    Attributes:
        agreed: the rows of which every compared call had the same syncs on both devices, and one had any.
        differed: the other rows.
    """

    agreed: frozenset[str]
    differed: frozenset[str]


def compared_rows(agreements: Iterable[Agreement], row_of_case: Mapping[str, str]) -> ComparedRows:
    """Group the compared calls by the row that they test.

    Args:
        agreements: the compared cases.
        row_of_case: the name of the tested row, by the name of the case; a case without a row is left out.
    """
    by_row: defaultdict[str, list[Agreement]] = defaultdict(list)
    for agreement in agreements:
        if row := row_of_case.get(agreement.case):
            by_row[row].append(agreement)
    agreed = frozenset(row for row, calls in by_row.items() if _confirm(calls))
    return ComparedRows(agreed=agreed, differed=frozenset(by_row) - agreed)


def _confirm(calls: Iterable[Agreement]) -> bool:
    calls = list(calls)
    differ = any(found.figure in _SYNCS for call in calls for found in call.disagreements())
    return not differ and any(call.real.num_syncs for call in calls)
