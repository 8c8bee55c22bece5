"""Which models there are: each registers itself in its own folder, and nothing else changes.

A model's folder decorates a *loader*: a function that imports and returns its class. Listing models
runs none of the loaders, so it imports no torch and no scikit-learn::

    @register("tfidf_hsgd", display_name="Tf-idf, one classifier per class", framework="sklearn")
    def load() -> type[Model]:
        from ktt_models.tfidf_hsgd.tfidf_hsgd import TfidfHSGD
        return TfidfHSGD

Bundled models are the sub-packages of ``ktt_models``; packages outside name a module that registers
a model under the entry-point group ``ktt.models``.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ktt_core.errors import (
    ConflictError,
    InvalidArgumentError,
    KttError,
    NotFoundError,
    UnsupportedError,
)
from ktt_core.names import check_name

if TYPE_CHECKING:
    from ktt_core.config import ModelConfig
    from ktt_core.model import Model

__all__ = [
    "ENTRY_POINT_GROUP",
    "ModelEntry",
    "get_config_class",
    "get_entry",
    "get_model",
    "list_models",
    "outside_modules",
    "register",
]

ENTRY_POINT_GROUP = "ktt.models"
_BUNDLED = "ktt_models"
# What commands take for every model.
_EVERY = "all"
# What the code of a model may raise when it is imported: a program's exit, too.
_FAILED = (Exception, SystemExit)

Loader = Callable[[], "type[Model]"]


@dataclass(frozen=True)
class ModelEntry:
    """What is known of a model without importing it."""

    id: str
    display_name: str
    framework: str
    summary: str
    load: Loader
    #: Where the class of its hyperparameters is, "package.module:Class"; "" if only the model says.
    config: str = ""


_entries: dict[str, ModelEntry] = {}
# Entry points that failed, and why.
_broken: dict[str, str] = {}
_discovered = False


def register(
    model_id: str, *, display_name: str, framework: str, summary: str = "", config: str = ""
) -> Callable[[Loader], Loader]:
    """Register the model whose class the decorated function returns.

    Parameters
    ----------
    model_id : str
        The name used on the command line, in folders and in ``hyperparameters.json``.
    display_name : str
        The name shown to people.
    framework : str
        "pytorch", "sklearn" or another; groups models in listings.
    summary : str
        One line for listings.
    config : str
        Where the class's `config_class` is, "package.module:Class". Hyperparameters are checked
        then without importing the model, and with it a framework that takes seconds.

    Raises
    ------
    InvalidArgumentError
        If `model_id` is not a valid name.
    ConflictError
        If another model has that id.
    """
    check_name(model_id, "model")
    if model_id.lower() == _EVERY:
        raise InvalidArgumentError(f"{model_id!r} names no model: it stands for all of them")

    def decorate(load: Loader) -> Loader:
        known = _entries.get(model_id)
        if known is not None and known.load.__module__ != load.__module__:
            raise ConflictError(
                f"two models are called {model_id!r}: {known.load.__module__} and {load.__module__}"
            )
        _entries[model_id] = ModelEntry(model_id, display_name, framework, summary, load, config)
        return load

    return decorate


def _discover() -> None:
    global _discovered
    if _discovered:
        return
    spec = importlib.util.find_spec(_BUNDLED)
    if spec is not None and spec.submodule_search_locations is not None:
        for module in pkgutil.iter_modules(spec.submodule_search_locations):
            if module.ispkg:
                importlib.import_module(f"{_BUNDLED}.{module.name}")
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            importlib.import_module(entry_point.module)
            if not _registered_by(entry_point.module):
                raise LookupError("it registers no model: decorate its loader with `register`")
        except _FAILED as error:  # whatever a foreign package raises must not stop the others
            why = f"{entry_point.module}: {type(error).__name__}: {error}"
            _broken[entry_point.name] = why
            warnings.warn(
                f"the model package {entry_point.name!r} cannot be loaded: {why}",
                stacklevel=2,
            )
    _discovered = True


def _registered_by(module: str) -> bool:
    """Say whether the package of a module has registered a model."""
    package = module.partition(".")[0]
    return any(entry.load.__module__.partition(".")[0] == package for entry in _entries.values())


def list_models(framework: str | None = None) -> list[ModelEntry]:
    """Return the registered models, sorted by id, without importing their classes."""
    _discover()
    return [
        entry
        for _, entry in sorted(_entries.items())
        if framework is None or entry.framework == framework
    ]


def outside_modules() -> dict[str, str]:
    """Return the outermost packages of the models from outside that are known, each with an id."""
    packages = {
        entry.load.__module__.partition(".")[0]: entry.id
        for _, entry in sorted(_entries.items(), reverse=True)
    }
    packages.pop(_BUNDLED, None)
    return packages


def get_entry(model_id: str) -> ModelEntry:
    """Return what is known of a model without importing it.

    Raises
    ------
    InvalidArgumentError
        If `model_id` is not a valid name.
    NotFoundError
        If no model has that id; the message lists those there are, and the packages that failed to
        load.
    """
    check_name(model_id, "model")
    _discover()
    try:
        return _entries[model_id]
    except KeyError:
        known = ", ".join(sorted(_entries)) or "none"
        failed = "".join(
            f"; {name!r} failed to load: {why}" for name, why in sorted(_broken.items())
        )
        raise NotFoundError(f"there is no model {model_id!r}; there are: {known}{failed}") from None


def get_model(model_id: str) -> type[Model]:
    """Import and return a model's class.

    Raises
    ------
    InvalidArgumentError, NotFoundError
        As `get_entry`.
    UnsupportedError
        If the model needs a package that is not installed, its code cannot be imported, or it is no
        `ktt_core.model.Model`.
    """
    entry = get_entry(model_id)
    with _loading(model_id):
        model = entry.load()
    if not (isinstance(model, type) and _is_model(model)):
        raise UnsupportedError(
            f"the model {model_id!r} cannot be used: its loader returns {model!r:.80}, which is no "
            "class derived from ktt_core.model.Model"
        )
    if missing := sorted(getattr(model, "__abstractmethods__", ())):
        raise UnsupportedError(
            f"the model {model_id!r} cannot be used: {model.__name__} lacks {', '.join(missing)}"
        )
    _check_config(model_id, model.config_class)
    _check_arguments(model_id, model)
    if model.__dict__.get("model_id", "") not in ("", entry.id):
        raise ConflictError(
            f"{model.__name__} is registered twice, as {model.model_id!r} and {entry.id!r}: "
            "a class is one model"
        )
    model.model_id = entry.id
    return model


def _is_model(found: type) -> bool:
    """Say whether a class is derived from `ktt_core.model.Model`, which needs this module."""
    bases = [(base.__module__, base.__name__) for base in found.__mro__]
    return ("ktt_core.model", "Model") in bases


def get_config_class(model_id: str) -> type[ModelConfig]:
    """Return the class of a model's hyperparameters; imports the model only if it must.

    Raises
    ------
    KttError
        As `get_model`.
    """
    entry = get_entry(model_id)
    if not entry.config:
        return get_model(model_id).config_class
    module, _, name = entry.config.partition(":")
    with _loading(model_id):
        found: type[ModelConfig] = getattr(importlib.import_module(module), name)
    _check_config(model_id, found)
    return found


@contextlib.contextmanager
def _loading(model_id: str) -> Iterator[None]:
    """Say of what goes wrong when a model is imported that it is the model's own error."""
    try:
        yield
    except KttError:
        raise
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"the model {model_id!r} needs the package {error.name!r}, which is not installed"
        ) from error
    except _FAILED as error:
        raise UnsupportedError(
            f"the model {model_id!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def _check_arguments(model_id: str, model: type[Model]) -> None:
    """Refuse a class that cannot be made as models are: of a taxonomy and hyperparameters."""
    try:
        inspect.signature(model).bind("taxonomy", "config")
    except TypeError as error:
        raise UnsupportedError(
            f"the model {model_id!r} cannot be used: {model.__name__}.__init__ takes other "
            f"arguments than (taxonomy, config): {error}"
        ) from None


def _check_config(model_id: str, found: Any) -> None:
    from ktt_core.config import ModelConfig

    if not (isinstance(found, type) and issubclass(found, ModelConfig)):
        raise UnsupportedError(
            f"the model {model_id!r} cannot be used: its config_class is {found!r:.80}, which is "
            "no class derived from ktt_core.config.ModelConfig"
        )
