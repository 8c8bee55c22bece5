"""Former names of attributes and methods that subclasses in other packages read or override."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

__all__ = ["keep_former_name"]


class _FormerName:
    """Forwards to the attribute of a new name that a class itself defines, and warns."""

    def __init__(self, owner: type, former: str, name: str) -> None:
        self._owner, self._former, self._name = owner, former, name

    def __get__(self, instance: Any, owner: type) -> Any:
        self._warn()
        if instance is not None and self._name in vars(instance):
            return vars(instance)[self._name]
        # Of the class that has this alias, not of the instance's: `super().former()` in an override
        # must not come back to the override.
        value = vars(self._owner)[self._name]
        return value.__get__(instance, owner) if hasattr(value, "__get__") else value

    def __set__(self, instance: Any, value: Any) -> None:
        self._warn()
        setattr(instance, self._name, value)

    def _warn(self) -> None:
        _warn(self._owner, self._former, self._name, stacklevel=4)


def keep_former_name(cls: type, former: str, name: str) -> None:
    """Let a renamed attribute or method be read and overridden under its former name, too.

    Called for a base class once it is complete, and in its ``__init_subclass__``.

    Parameters
    ----------
    cls : type
    former, name : str
        The attribute's name before and now. A class that defines both keeps its `name`.
    """
    if name in vars(cls):
        setattr(cls, former, _FormerName(cls, former, name))
        return
    override = inspect.getattr_static(cls, former)
    if isinstance(override, _FormerName) or override is inspect.getattr_static(cls, name):
        return
    # The frames between: this function, `__init_subclass__` and the metaclass of `abc`.
    _warn(cls, former, name, stacklevel=5)
    setattr(cls, name, override)


def _warn(cls: type, former: str, name: str, stacklevel: int) -> None:
    warnings.warn(
        f"{cls.__name__}.{former} is {name} now; the former name goes in the next release",
        DeprecationWarning,
        stacklevel=stacklevel,
    )
