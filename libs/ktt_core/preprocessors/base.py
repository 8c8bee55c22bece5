"""The contract of a preprocessor, and its state as a JSON value."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ktt_core.errors import ConflictError, InvalidArgumentError, UnsupportedError

__all__ = [
    "OWN_MODULE",
    "BasePreprocessor",
    "check_made",
    "check_texts",
    "known_kind",
    "preprocessor_from_json",
]

_kinds: dict[str, type[BasePreprocessor]] = {}

#: In an export, the module beside this one that defines the model's own preprocessor, if any.
OWN_MODULE = "own_preprocessor"


class BasePreprocessor:
    """Pass texts on unchanged; base class of all preprocessors.

    A subclass sets `kind`, overrides `__call__` and `_fields`, and accepts those fields as keyword
    arguments of its constructor. Its state is stored in checkpoints and bundles as the value of
    `to_json`, and pickled for worker processes.
    """

    #: Identifies the class in the value of `to_json`.
    kind: ClassVar[str] = "text"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            _register(cls)

    def __call__(self, texts: Sequence[str]) -> dict[str, Any]:
        """Convert a batch of texts to a model's inputs.

        Parameters
        ----------
        texts : sequence of str, length n

        Returns
        -------
        dict
            ``{"text": [...]}``, length n.

        Raises
        ------
        InvalidArgumentError
            If `texts` is a single string or has an entry that is not text.
        """
        return {"text": check_texts(texts)}

    def _fields(self) -> dict[str, Any]:
        """Return the constructor's arguments, as JSON values."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """Return the whole state as a JSON value, for `preprocessor_from_json`."""
        return {"kind": self.kind, **self._fields()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> BasePreprocessor:
        """Rebuild a preprocessor of this class from the value of `to_json`.

        Raises
        ------
        InvalidArgumentError
            If `value` is not one.
        """
        if not isinstance(value, Mapping) or value.get("kind") != cls.kind:
            found = value.get("kind") if isinstance(value, Mapping) else type(value).__name__
            raise InvalidArgumentError(
                f"not the state of a {cls.kind!r} preprocessor (found {found!r})"
            )
        fields = {key: field for key, field in value.items() if key != "kind"}
        try:
            return cls(**fields)
        except TypeError as error:
            raise InvalidArgumentError(
                f"the state of a {cls.kind!r} preprocessor has the wrong fields: {error}"
            ) from error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BasePreprocessor):
            return NotImplemented
        return self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.kind)

    def __repr__(self) -> str:
        fields = ", ".join(f"{key}={value!r:.60}" for key, value in self._fields().items())
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).from_json, (self.to_json(),))


def preprocessor_from_json(value: Mapping[str, Any]) -> BasePreprocessor:
    """Rebuild any preprocessor from the value of `BasePreprocessor.to_json`.

    Only imported classes are found, and in an export the model's own: a value cannot cause other
    code to be loaded.

    Raises
    ------
    InvalidArgumentError
        If the kind is unknown or the fields are not those of its constructor.
    """
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or (kind not in _kinds and not _is_own_kind(kind)):
        known = ", ".join(sorted(_kinds))
        raise InvalidArgumentError(f"there is no preprocessor {kind!r:.80}; there are: {known}")
    return _kinds[kind].from_json(value)


def known_kind(kind: str) -> type[BasePreprocessor] | None:
    """Return the class of a kind, if it has been imported."""
    return _kinds.get(kind)


def _is_own_kind(kind: str) -> bool:
    name = f"{__package__}.{OWN_MODULE}"
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise InvalidArgumentError(f"the model's preprocessor needs {error.name}") from error
    return kind in _kinds


def check_texts(texts: Sequence[str]) -> list[str]:
    """Return a batch as a list of str.

    Raises
    ------
    InvalidArgumentError
        If the batch is one string, or an entry is not text.
    """
    if isinstance(texts, (str, bytes)):
        raise InvalidArgumentError(
            "a preprocessor takes a sequence of texts, not one text: wrap it in a list"
        )
    try:
        batch = list(texts)
    except TypeError as error:
        raise InvalidArgumentError(
            f"a preprocessor takes a sequence of texts, not {type(texts).__name__}"
        ) from error
    for position, text in enumerate(batch):
        if not isinstance(text, str):
            raise InvalidArgumentError(
                f"text {position} of the batch is {type(text).__name__}, not a string: {text!r:.80}"
            )
    return batch


def check_made(preprocessor: Any, texts: Sequence[str], made: Sequence[Any]) -> None:
    """Check that a preprocessor made one text of each, so that rows keep their own predictions.

    Raises
    ------
    UnsupportedError
        If it did not.
    """
    name = type(preprocessor).__name__
    if len(made) != len(texts):
        raise UnsupportedError(
            f"the preprocessor {name} made {len(made)} texts of {len(texts)}: it must make one "
            "text of every text"
        )
    for text in made:
        if not isinstance(text, str):
            raise UnsupportedError(
                f"the preprocessor {name} made {text!r:.80} of a text: it must make one text of "
                "every text"
            )


def _register(cls: type[BasePreprocessor]) -> None:
    known = _kinds.get(cls.kind)
    if known is not None and (known.__module__, known.__qualname__) != (
        cls.__module__,
        cls.__qualname__,
    ):
        raise ConflictError(
            f"two preprocessors are of the kind {cls.kind!r}: "
            f"{known.__module__}.{known.__qualname__} and {cls.__module__}.{cls.__qualname__}"
        )
    _kinds[cls.kind] = cls


_register(BasePreprocessor)
