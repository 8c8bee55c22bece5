"""Conversion of JSON values to ``google.protobuf.Struct`` and back.

A Struct has only doubles. Whole numbers are returned as int, and whole numbers that a double cannot
hold exactly are refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

from ktt_core.errors import InvalidArgumentError

__all__ = ["dict_to_struct", "struct_to_dict"]

# Largest bound below which doubles represent all whole numbers.
_LARGEST_EXACT = 2**53
# The depth of protobuf's parser with its default limit of 100 messages: three per level.
_DEEPEST = 30


def dict_to_struct(values: Mapping[str, Any]) -> Struct:
    """Turn a JSON object into a Struct.

    Parameters
    ----------
    values : mapping of str to JSON value
        None, bool, int, float, str, lists, tuples and mappings of them.

    Raises
    ------
    InvalidArgumentError
        If a value is not JSON, not finite, a whole number beyond 2**53, or nested deeper than 30
        levels. The message names the key.
    """
    struct = Struct()
    for key, value in values.items():
        struct.fields[key].CopyFrom(_to_value(value, key, 1))
    return struct


def struct_to_dict(struct: Struct) -> dict[str, Any]:
    """Turn a Struct into a JSON object; whole numbers become int."""
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _to_value(value: Any, where: str, depth: int) -> Value:
    if depth > _DEEPEST:
        raise InvalidArgumentError(f"{where[:200]}: nested deeper than {_DEEPEST} levels")
    if value is None:
        return Value(null_value=NULL_VALUE)
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, str):
        return Value(string_value=value)
    if isinstance(value, (int, float)):
        return Value(number_value=_to_number(value, where))
    if isinstance(value, Mapping):
        struct = Struct()
        for key, item in value.items():
            struct.fields[key].CopyFrom(_to_value(item, f"{where}.{key}", depth + 1))
        return Value(struct_value=struct)
    if isinstance(value, (list, tuple)):
        items = [_to_value(item, f"{where}[{at}]", depth + 1) for at, item in enumerate(value)]
        return Value(list_value=ListValue(values=items))
    raise InvalidArgumentError(
        f"{where[:200]}: a {type(value).__name__} is not a JSON value; give a number, text, true, "
        "false, null, a list or an object"
    )


def _to_number(value: int | float, where: str) -> float:
    if isinstance(value, int) and abs(value) > _LARGEST_EXACT:
        raise InvalidArgumentError(
            f"{where[:200]}: the whole number has {len(str(abs(value)))} digits; numbers beyond "
            f"{_LARGEST_EXACT} cannot be sent without change"
        )
    number = float(value)
    if not math.isfinite(number):
        raise InvalidArgumentError(f"{where[:200]}: {number} is not a finite number")
    return number


def _from_value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() and abs(number) <= _LARGEST_EXACT else number
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return struct_to_dict(value.struct_value)
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    return None
