"""Typed hyperparameters: defaults in the class, overridden by a file and by ``--set``."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import pydantic

from ktt_core.errors import InvalidConfigError, NotFoundError
from ktt_core.regular_files import read_regular

__all__ = [
    "ModelConfig",
    "build_config",
    "describe_config",
    "parse_assignments",
    "read_hyperparameters",
]

_MAX_VALUE_LENGTH = 4096


class ModelConfig(pydantic.BaseModel):
    """Base class of every model's hyperparameters.

    A field's description states its unit and meaning; its range is a constraint, so that the
    listing of ``ktt models MODEL`` always agrees with the validation.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    seed: int = pydantic.Field(
        0, ge=0, lt=2**32, description="Seed of every random choice of a run."
    )

    def check_here(self) -> None:
        """Check that resources which the config names exist on this machine.

        Called before a run is started, so that an impossible run fails at once. Its errors are
        shown to users unchanged.
        """


ConfigT = TypeVar("ConfigT", bound=ModelConfig)


def build_config(config_class: type[ConfigT], model: str, *overrides: Mapping[str, Any]) -> ConfigT:
    """Make a config from its defaults and overrides; later ones take precedence.

    Raises
    ------
    InvalidConfigError
        With every invalid key, the model, the value and the allowed values; `violations` maps keys
        to messages, "" for conflicts between keys.
    """
    values: dict[str, Any] = {}
    for override in overrides:
        values.update(override)
    problems = [
        (key, f"{model}: {key} = {value}: true and false are not numbers")
        for key, value in values.items()
        # Pydantic would convert them to 1 and 0.
        if _holds_bool(value) and not _takes_bool(config_class, key, isinstance(value, bool))
    ]
    if problems:
        raise _invalid(problems)
    try:
        return config_class.model_validate(values)
    except pydantic.ValidationError as error:
        # The types of a union fail separately; they are reported as one problem of one value.
        reasons: dict[str, list[str]] = {}
        inputs: dict[str, Any] = {}
        keys: dict[str, str] = {}
        for detail in error.errors():
            place = _place(detail["loc"])
            key = keys[place] = str(detail["loc"][0]) if detail["loc"] else ""
            if detail["type"] == "extra_forbidden":
                known = ", ".join(sorted(config_class.model_fields))
                text = f"{model} has no hyperparameter {_shorten(place)!r}; it has: {known}"
                problems.append((key, text))
            else:
                inputs.setdefault(place, detail["input"])
                reasons.setdefault(place, []).append(detail["msg"])
        for place, messages in reasons.items():
            value = _shorten(inputs[place])
            text = f"{model}: {_shorten(place)} = {value!r}: " + "; or: ".join(
                dict.fromkeys(messages)
            )
            problems.append((keys[place], text))
        raise _invalid(problems) from None


def _invalid(problems: list[tuple[str, str]]) -> InvalidConfigError:
    return InvalidConfigError("\n".join(text for _, text in problems), violations=problems)


def _place(loc: tuple[int | str, ...]) -> str:
    """Return the key and positions within its value, without pydantic's names of types."""
    return ".".join(str(part) for part in loc if part in loc[:1] or isinstance(part, int)) or (
        "(config)"
    )


def _holds_bool(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_bool, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_holds_bool, value))
    return isinstance(value, bool)


def _takes_bool(config_class: type[ModelConfig], key: str, plain: bool) -> bool:
    """Tell whether a bool is allowed at a key, or inside its value if not `plain`.

    It is not where only a number is expected.
    """
    field = config_class.model_fields.get(key)
    if field is None:
        return True
    kinds = _plain_types(field.annotation) if plain else _all_types(field.annotation)
    return bool in kinds or not (int in kinds or float in kinds)


def _plain_types(annotation: Any) -> list[Any]:
    """Return the types of a value itself, not of list or tuple items."""
    origin, options = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain_types(options[0])
    if origin in (Union, types.UnionType):
        return [kind for option in options for kind in _plain_types(option)]
    return [annotation]


def _all_types(annotation: Any) -> list[Any]:
    """Return the types of a value, and of items at any depth of lists and tuples."""
    nested = [kind for option in get_args(annotation) for kind in _all_types(option)]
    return [annotation, *nested]


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse ``key=value`` strings; a value is JSON if it parses as such, else text.

    Raises
    ------
    InvalidConfigError
        If an assignment has no '=', no key or a value of more than 4,096 characters.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        key = key.strip()
        if not separator or not key:
            raise InvalidConfigError(f"--set needs key=value, not {_shorten(assignment)!r}")
        if len(text) > _MAX_VALUE_LENGTH:
            raise InvalidConfigError(
                f"--set {_shorten(key)}: the value has {len(text):,} characters "
                f"(at most {_MAX_VALUE_LENGTH:,})"
            )
        try:
            values[key] = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            values[key] = text
    return values


def read_hyperparameters(path: Path) -> dict[str, dict[str, Any]]:
    """Read ``hyperparameters.json``: one object of overrides per model id.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidConfigError
        If it is not a JSON object of objects.
    """
    try:
        # Some editors on Windows start a file with a byte order mark.
        value = json.loads(read_regular(path).decode("utf-8-sig"))
    except FileNotFoundError:
        raise NotFoundError(f"there is no hyperparameter file {path}") from None
    except OSError as error:
        raise InvalidConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidConfigError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(value, dict) or not all(isinstance(entry, dict) for entry in value.values()):
        raise InvalidConfigError(
            f'{path} must hold one object per model: {{"tfidf_hsgd": {{"epochs": 10}}}}'
        )
    return value


def describe_config(config_class: type[ModelConfig]) -> list[dict[str, Any]]:
    """List a config's fields: name, type, default, range and description, as JSON values."""
    rows = []
    for name, field in config_class.model_json_schema()["properties"].items():
        # For a union, the types and constraints are in its options.
        options = field.get("anyOf", [field])
        kinds = [option.get("type") or json.dumps(option.get("const", "any")) for option in options]
        limits: dict[str, Any] = {}
        for part in (*options, field):
            for key, limit in part.items():
                if (known := _LIMITS.get(key)) is not None:
                    limits[known] = limit
        rows.append(
            {
                "name": name,
                "type": " or ".join(dict.fromkeys(kinds)),
                "default": field.get("default"),
                "limits": limits,
                "description": field.get("description", ""),
            }
        )
    return rows


# Names in the JSON schema, then pydantic's own, which it uses for constraints on a union.
_LIMITS = {
    "minimum": "minimum",
    "ge": "minimum",
    "exclusiveMinimum": "exclusiveMinimum",
    "gt": "exclusiveMinimum",
    "maximum": "maximum",
    "le": "maximum",
    "exclusiveMaximum": "exclusiveMaximum",
    "lt": "exclusiveMaximum",
    "enum": "enum",
    "minItems": "minItems",
    "maxItems": "maxItems",
}


def _shorten(value: object, limit: int = 80) -> object:
    text = value if isinstance(value, str) else repr(value)
    return text[: limit - 3] + "..." if len(text) > limit else value
