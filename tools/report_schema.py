"""Generate the JSON Schema of `report.json` from its types: `python -m tools.report_schema`."""

import json
from pathlib import Path

from pytest_diffopt.reports import schema


def main() -> None:
    """Write the schema into the package."""
    path = Path(schema.__file__).with_name(schema.FILE_NAME)
    path.write_text(json.dumps(schema.report_schema(), indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
