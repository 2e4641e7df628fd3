"""The plain values of a ledger are converted back into the original record."""

import typing

import pytest

from pytest_diffopt.records import Record
from pytest_diffopt.reports.recorded import RECORD_TYPES, record_of
from pytest_diffopt.session.ledger import LedgerEntry
from tests.unit.reports.report_examples import one_of_each


@pytest.mark.parametrize("entry", one_of_each(), ids=lambda entry: entry.nodeid.partition("::")[2])
def test_every_kind_of_record_is_restored(entry: LedgerEntry) -> None:
    """The record has its original type and the subject of its verdict."""
    record = record_of(entry)

    assert type(record) in RECORD_TYPES[entry.verdict.concern]
    assert record.subject == entry.verdict.subject


def test_the_table_contains_every_record_type() -> None:
    """A record type that is missing in the table could not be read back."""
    known = {one for types in RECORD_TYPES.values() for one in types}

    assert known == set(typing.get_args(Record))


def test_the_examples_contain_every_record_type() -> None:
    """Tests that use the examples then cover every type."""
    shown = {type(record_of(entry)) for entry in one_of_each()}

    assert shown == set(typing.get_args(Record))
