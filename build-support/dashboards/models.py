"""Which models there are: read from where they register, without importing any of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ANY_MODEL", "RegisteredModel", "registered_models"]


@dataclass(frozen=True)
class RegisteredModel:
    """What the dashboard of a model says about it.

    Attributes
    ----------
    name
        Its id, which is its folder's name.
    display_name
        For people.
    framework
        Which decides what its features are.
    """

    name: str
    display_name: str
    framework: str


#: A model that brings no dashboard: an export puts its own names in the place of these.
ANY_MODEL = RegisteredModel("MODEL", "MODEL", "")


def registered_models(folder: Path) -> list[RegisteredModel]:
    """Return the models whose folders are in a folder, by name.

    Parameters
    ----------
    folder
        That of ``ktt_models``; each model's ``__init__.py`` calls ``register`` with literals.
    """
    files = sorted(folder.glob("*/__init__.py"))
    return [model for file in files for model in _registrations(file)]


def _registrations(file: Path) -> Iterator[RegisteredModel]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "register":
                given = {word.arg: ast.literal_eval(word.value) for word in node.keywords}
                name = ast.literal_eval(node.args[0])
                yield RegisteredModel(name, given["display_name"], given["framework"])
