"""Errors carry their message, and a wrong argument its field."""

from __future__ import annotations

import inspect

from ktt_core import errors


def test_a_wrong_argument_names_its_field() -> None:
    error = errors.InvalidConfigError("epochs must be positive", field="config.epochs")
    assert (str(error), error.field) == ("epochs must be positive", "config.epochs")
    assert errors.InvalidArgumentError("bad").field == ""


def test_every_error_is_exported_and_in_the_tree() -> None:
    found = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.KttError)
    }
    assert found == set(errors.__all__)
    assert all(name in (errors.__doc__ or "") for name in found)
