"""The record of the torch versions that confirmed the rows of the sync table."""

import json
from pathlib import Path

from pytest_diffopt.simulated_gpu.cuda.sync_confirmations import confirmations, read, record
from pytest_diffopt.simulated_gpu.cuda.sync_table import RULES


def test_versions_are_added_and_removed(tmp_path: Path) -> None:
    """Versions are in order, a row without any is left out, and rows that were not compared stay."""
    file = tmp_path / "confirmations.json"
    file.write_text(
        json.dumps({"item": ["2.14.1"], "isin": ["2.9.0", "2.14.1"], "mode": ["2.14.1"], "old": ["2.11.0"]}),
        encoding="utf-8",
    )
    record("2.9.0", agreed=["item", "nonzero"], differed=["isin"], path=file)
    record("2.14.1", agreed=[], differed=["mode", "never seen"], path=file)

    assert read(file) == {
        "isin": ("2.14.1",),
        "item": ("2.9.0", "2.14.1"),
        "nonzero": ("2.9.0",),
        "old": ("2.11.0",),
    }
    assert list(read(file)) == sorted(read(file))


def test_record_names_only_rows_of_the_table() -> None:
    """A renamed row must be compared again."""
    assert confirmations().keys() <= {rule.name for rule in RULES}


def test_row_has_its_versions() -> None:
    """`Rule.confirmed_by` is read from the record, and is empty for a row that no version confirmed."""
    by_name = {rule.name: rule.confirmed_by for rule in RULES}

    assert by_name["item"] == confirmations()["item"]
    assert "2.14.1" in by_name["item"]
    assert by_name["release of cached memory"] == ()
