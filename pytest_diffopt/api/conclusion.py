"""How an assertion ends: the verdict enters the ledger, and a failed one raises."""

from pytest_diffopt.guards.failed_assertion import DiffoptAssertionError
from pytest_diffopt.guards.verdict import UNPROVEN, Verdict
from pytest_diffopt.printable import printable_lines
from pytest_diffopt.records import Record
from pytest_diffopt.session.active_test import active_test
from pytest_diffopt.session.ledger_entries import entry_of


def conclude(record: Record, verdict: Verdict) -> None:
    """Enter a verdict in the ledger, and raise if it is a failure.

    A verdict that proves nothing does not end the test, so that a later assertion can still fail; the end of the test
    skips or fails it (`diffopt_inconclusive`). Outside pytest it raises, because a script has no such end; for the same
    reason the compile log is closed here, which restores Dynamo's functions, and each assertion stands alone.

    Raises:
        DiffoptAssertionError: the verdict is a failure, or it proves nothing and no test is running.
    """
    __tracebackhide__ = True
    test = active_test()
    error = DiffoptAssertionError("\n".join([*verdict.explanation, *_torch_traceback_lines(record)]), verdict)
    if not test.keeps_verdicts:
        test.pipelines.close()
    else:
        test.enter(entry_of(test.nodeid, verdict, record))
    if verdict.is_failure or (verdict.outcome in UNPROVEN and not test.keeps_verdicts):
        test.note_failure(error)
        raise error
    if verdict.outcome in UNPROVEN:
        test.unproven.append(error)


def _torch_traceback_lines(record: Record) -> list[str]:
    """Return torch's traceback of a failed compilation, which `-v` shows."""
    traceback: str = getattr(record, "torch_traceback", "")
    return (
        ["", "torch's own traceback:", printable_lines(traceback)]
        if traceback and active_test().settings.is_verbose
        else []
    )
