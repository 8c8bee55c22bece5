"""Limits on the size of a request's hyperparameters, for any model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ktt_core.errors import InvalidConfigError

__all__ = ["check_hyperparameters", "hyperparameter_field"]

_MAX_KEYS = 200
_MAX_KEY = 100
# The same limit as in `ktt_core.config.parse_assignments`.
_MAX_TEXT = 4_096
_MAX_VALUES = 10_000
_MAX_DEPTH = 8


def check_hyperparameters(values: Mapping[str, Any]) -> None:
    """Check the sizes of hyperparameters before they are used.

    Parameters
    ----------
    values : mapping of str to JSON value

    Raises
    ------
    InvalidConfigError
        If there are more than 200, a key has more than 100 characters, a text more than 4,096, or a
        value holds more than 10,000 values or is nested deeper than 8 levels. Its `field` is
        "hyperparameters" or "hyperparameters.<key>", with a violation for each such key.
    """
    if len(values) > _MAX_KEYS:
        raise InvalidConfigError(
            f"there are {len(values):,} hyperparameters, more than {_MAX_KEYS}",
            field="hyperparameters",
        )
    violations = []
    for key, value in values.items():
        problem = (
            _problem(value) if len(key) <= _MAX_KEY else f"the key has {len(key):,} characters"
        )
        if problem:
            violations.append((hyperparameter_field(key), f"{_shorten(key)}: {problem}"))
    if violations:
        message = "\n".join(problem for _, problem in violations)
        raise InvalidConfigError(message, violations=violations)


def hyperparameter_field(key: str) -> str:
    """Return the field of a key, or of all of them for ""."""
    return f"hyperparameters.{_shorten(key)}" if key else "hyperparameters"


def _shorten(key: str) -> str:
    return key if len(key) <= _MAX_KEY else f"{key[:60]}..."


def _problem(value: Any) -> str:
    level, depth, count = [value], 0, 0
    while level:
        depth += 1
        count += len(level)
        if depth > _MAX_DEPTH:
            return f"the value is nested deeper than {_MAX_DEPTH} levels"
        if count > _MAX_VALUES:
            return f"the value holds more than {_MAX_VALUES:,} values"
        for item in level:
            texts = [*item] if isinstance(item, Mapping) else [item]
            longest = max((len(text) for text in texts if isinstance(text, str)), default=0)
            if longest > _MAX_TEXT:
                return f"the value has {longest:,} characters (at most {_MAX_TEXT:,})"
        level = [
            inner
            for item in level
            if isinstance(item, (Mapping, list, tuple))
            for inner in (item.values() if isinstance(item, Mapping) else item)
        ]
    return ""
