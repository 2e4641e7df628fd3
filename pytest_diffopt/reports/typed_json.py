"""Prepare parsed JSON for msgspec: refuse unknown keys, and restore non-finite numbers from their strings.

msgspec validates everything else. It accepts unknown keys of dataclasses, and does not read `inf` as a float.
"""

from functools import cache
from typing import Any

from msgspec import inspect

from pytest_diffopt.baselines.strict_json import refuse
from pytest_diffopt.errors import did_you_mean

#: The strings that stand in for the numbers that JSON cannot represent.
TEXTS_OF_FLOATS = ("inf", "-inf", "nan")


def fitted(value: Any, type_: Any, key: str = "") -> Any:
    """Return the value with its non-finite numbers restored.

    Args:
        value: the parsed JSON.
        type_: the expected type.
        key: the path of the value, for messages.

    Raises:
        JSONProblem: A key is unknown.
    """
    return _fitted(value, _info(type_), key)


@cache
def _info(type_: Any) -> inspect.Type:
    return inspect.type_info(type_)


def _fitted(value: Any, info: inspect.Type, key: str) -> Any:
    match info:
        case inspect.FloatType() if value in TEXTS_OF_FLOATS:
            return float(value)
        case inspect.StructType() | inspect.DataclassType() if isinstance(value, dict):
            return _fitted_fields(value, info, key)
        case inspect.DictType() if isinstance(value, dict):
            return {name: _fitted(item, info.value_type, f"{key}.{name}") for name, item in value.items()}
        case inspect.ListType() | inspect.VarTupleType() if isinstance(value, list):
            return [_fitted(item, info.item_type, f"{key}[{index}]") for index, item in enumerate(value)]
        case inspect.UnionType():
            return _fitted_to_one(value, info, key)
        case _:
            return value


def _fitted_fields(value: dict[str, Any], info: inspect.StructType | inspect.DataclassType, key: str) -> dict[str, Any]:
    types = {field.encode_name: field.type for field in info.fields}
    found = {}
    for name, item in value.items():
        path = f"{key}.{name}" if key else name
        if name not in types:
            refuse(f"{path}: unknown key{did_you_mean(name, types)}")
        found[name] = _fitted(item, types[name], path)
    return found


def _fitted_to_one(value: Any, info: inspect.UnionType, key: str) -> Any:
    """Restore by the single type of the union that is neither None nor int, as in an optional record or float."""
    shaped = [one for one in info.types if not isinstance(one, inspect.NoneType | inspect.IntType)]
    return _fitted(value, shaped[0], key) if len(shaped) == 1 else value
