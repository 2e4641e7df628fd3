"""What a ledger keeps as plain values becomes the record again that a probe wrote down."""

import typing

import pytest

from pytest_diffopt.records import Record
from pytest_diffopt.reports.recorded import RECORD_TYPES, record_of
from pytest_diffopt.session.ledger import LedgerEntry
from tests.unit.reports.report_examples import one_of_each


@pytest.mark.parametrize("entry", one_of_each(), ids=lambda entry: entry.nodeid.partition("::")[2])
def test_every_kind_of_record_comes_back(entry: LedgerEntry) -> None:
    """As its own type, with the subject of its verdict."""
    record = record_of(entry)

    assert type(record) in RECORD_TYPES[entry.verdict.concern]
    assert record.subject == entry.verdict.subject


def test_the_table_knows_every_record() -> None:
    """And nothing else: a new record that is missing here could not be read back."""
    known = {one for types in RECORD_TYPES.values() for one in types}

    assert known == set(typing.get_args(Record))


def test_the_examples_show_every_record() -> None:
    """So that what is tested with them is tested for every kind."""
    shown = {type(record_of(entry)) for entry in one_of_each()}

    assert shown == set(typing.get_args(Record))
