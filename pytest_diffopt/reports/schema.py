"""What `report.json` may hold, as a JSON Schema made from the types that write it."""

from inspect import cleandoc
from typing import Any

import msgspec

from pytest_diffopt.reports.document import SCHEMA_VERSION, Report
from pytest_diffopt.reports.recorded import RECORD_TYPES
from pytest_diffopt.reports.typed_json import TEXTS_OF_FLOATS

#: The schema as it is shipped, beside this module.
FILE_NAME = "report.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_POINTER = "#/$defs/{name}"
_DESCRIPTION = "description"
_NUMBER = {"type": "number"}


def report_schema() -> dict[str, Any]:
    """Return the schema."""
    records = tuple(one for types in RECORD_TYPES.values() for one in types)
    (report, *references), definitions = msgspec.json.schema_components((Report, *records), ref_template=_POINTER)
    # A ledger keeps records as plain values; which type they are of, the concern of the verdict tells.
    definitions["LedgerEntry"]["properties"]["record"] = {"anyOf": references}
    definitions["Report"]["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    return {
        "$schema": _DIALECT,
        "title": "What pytest --diffopt-report writes into report.json",
        **report,
        "$defs": _strict(definitions),
    }


def _strict(schema: Any) -> Any:
    """Forbid unknown keys, and allow the texts in which numbers are written that JSON lacks.

    Descriptions are docstrings, which Python indents as their code until 3.13.
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
    return cleandoc(text) if isinstance(text, str) else _strict(text)  # else it is a property of that name
