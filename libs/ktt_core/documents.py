"""Documents: dataclasses that are read from JSON, and checked by the types of their fields.

Pydantic checks them. It is imported when the first document is read, so that modules which declare
or write documents start without it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ktt_core.errors import DataError, KttError

if TYPE_CHECKING:
    from pydantic import ConfigDict, GetCoreSchemaHandler, TypeAdapter

__all__ = ["Damaged", "Document", "parse_object"]

#: Makes the error for a document out of what is wrong in it: names its file, and what to do.
Damaged = Callable[[str], KttError]

# Of one document; a file of something else has all of its fields wrong.
_SHOWN_PROBLEMS = 5


def parse_object(content: str | bytes, damaged: Damaged) -> dict[str, Any]:
    """Parse JSON text that has to be an object.

    Raises
    ------
    KttError
        `damaged`'s, if it is something else.
    """
    try:
        value = json.loads(content.decode() if isinstance(content, bytes) else content)
    except (ValueError, RecursionError) as error:
        raise damaged(f"not JSON ({error})") from None
    if not isinstance(value, dict):
        raise damaged("not a JSON object")
    return value


class Document:
    """Base of dataclasses that are objects of JSON.

    Nothing is converted to a field's type: true, "1" and NaN are not numbers. Keys
    that a class does not know are left out, as they may be a later version's.
    """

    __pydantic_config__: ClassVar[ConfigDict] = {"strict": True, "allow_inf_nan": False}

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; `from_json` undoes it."""
        return {
            field.name: _to_json(getattr(self, field.name))
            for field in fields(self)  # type: ignore[arg-type]
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], damaged: Damaged | None = None) -> Self:
        """Check JSON values, and return them as the fields.

        Parameters
        ----------
        value : mapping
            As `json.loads` returns it.
        damaged : callable, optional
            By default the error is a DataError.

        Raises
        ------
        KttError
            `damaged`'s, with the path of each wrong field and what is wrong.
        """
        import pydantic

        try:
            return _adapter(cls).validate_python(value)  # type: ignore[arg-type]
        except pydantic.ValidationError as error:
            details = error.errors(include_url=False)
            problems = [_problem(detail) for detail in details[:_SHOWN_PROBLEMS]]
            if len(details) > _SHOWN_PROBLEMS:
                problems.append(f"and {len(details) - _SHOWN_PROBLEMS:,} more")
            text = "; ".join(problems)
        if damaged is None:
            raise DataError(f"the {cls.__name__} is damaged: {text}")
        raise damaged(text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> Any:
        schema = handler(source)
        _accept_json(handler.resolve_ref_schema(schema))
        return schema


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    import pydantic

    return pydantic.TypeAdapter(kind)


def _accept_json(schema: Any) -> None:
    """Let objects, lists and texts of JSON stand for the types that JSON does not have."""
    if isinstance(schema, dict):
        if schema.get("type") == "datetime":
            schema |= {"type": "function-plain", "function": {"type": "no-info", "function": _time}}
        elif schema.get("type") in ("dataclass", "tuple"):
            schema["strict"] = False
        for part in schema.values():
            _accept_json(part)
    elif isinstance(schema, list):
        for part in schema:
            _accept_json(part)


def _time(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("not a text")
    return datetime.fromisoformat(value)


def _problem(detail: Mapping[str, Any]) -> str:
    place = ".".join(map(str, detail["loc"]))
    name = f"{place!r:.120}" if place else "it"
    if detail["type"] == "missing":
        return f"{name} is missing"
    if detail["type"] == "value_error":
        return f"{name}: {detail['ctx']['error']}" if place else str(detail["ctx"]["error"])
    wanted = detail["msg"].removeprefix("Input should be ")
    if detail["type"] == "dataclass_type":
        wanted = "an object"
    return f"{name} is {detail['input']!r:.60}, and should be {wanted}"


def _to_json(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
