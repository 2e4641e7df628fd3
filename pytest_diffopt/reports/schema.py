"""The JSON Schema of `report.json`, generated from the types of the report."""

from inspect import cleandoc
from typing import Any

import msgspec

from pytest_diffopt.reports.document import SCHEMA_VERSION, Report
from pytest_diffopt.reports.recorded import RECORD_TYPES
from pytest_diffopt.reports.typed_json import TEXTS_OF_FLOATS

#: The name of the shipped schema, in the folder of this module.
FILE_NAME = "report.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_POINTER = "#/$defs/{name}"
_DESCRIPTION = "description"
_NUMBER = {"type": "number"}


def report_schema() -> dict[str, Any]:
    """Return the schema."""
    records = tuple(one for types in RECORD_TYPES.values() for one in types)
    (report, *references), definitions = msgspec.json.schema_components((Report, *records), ref_template=_POINTER)
    # A ledger keeps records as plain values; the concern of the verdict determines the type.
    definitions["LedgerEntry"]["properties"]["record"] = {"anyOf": references}
    definitions["Report"]["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    return {
        "$schema": _DIALECT,
        "title": "report.json, as written by pytest --diffopt-report",
        **report,
        "$defs": _strict(definitions),
    }


def _strict(schema: Any) -> Any:
    """Forbid unknown keys, and allow the strings that stand in for non-finite numbers.

    Descriptions are docstrings; before Python 3.13 they keep the indentation of the code.
    """
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema == _NUMBER:
        return {"anyOf": [_NUMBER, {"enum": [*TEXTS_OF_FLOATS]}]}
    strict = {name: _described(one) if name == _DESCRIPTION else _strict(one) for name, one in schema.items()}
    return strict | {"additionalProperties": False} if "properties" in schema else strict


def _described(text: Any) -> Any:
    return cleandoc(text) if isinstance(text, str) else _strict(text)  # a property named `description`
