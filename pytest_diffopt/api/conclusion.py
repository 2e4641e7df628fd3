"""How an assertion ends: the verdict enters the ledger, and a failed one ends the test."""

import pytest

from pytest_diffopt.guards.verdict import UNPROVEN, Verdict
from pytest_diffopt.printable import printable_lines
from pytest_diffopt.records import Record
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.ledger_entries import entry_of


def conclude(record: Record, verdict: Verdict) -> None:
    """Enter a verdict in the ledger; fail the test if the verdict is a failure, skip it if nothing was proven."""
    test = active_test()
    test.entries.append(entry_of(test.nodeid, verdict, record))
    text = "\n".join([*verdict.explanation, *_torch_traceback_lines(record)])
    if verdict.is_failure:
        pytest.fail(text, pytrace=False)
    if verdict.outcome in UNPROVEN:
        pytest.skip(text)


def _torch_traceback_lines(record: Record) -> list[str]:
    """Return torch's traceback of a failed compilation, which `-v` shows."""
    traceback: str = getattr(record, "torch_traceback", "")
    return (
        ["", "torch's own traceback:", printable_lines(traceback)]
        if traceback and active_test().settings.is_verbose
        else []
    )
