"""The bundled models, one folder each, and the bases of their frameworks.

A model's class is an attribute by its id in capitals (``from ktt_models import TFIDF_HSGD``) and is
imported only when asked for. ``MODEL_LIST`` holds all ids, ``PYTORCH_MODEL_LIST`` and
``SKLEARN_MODEL_LIST`` those of a framework; all are derived from `ktt_core.registry`, so that a new
model shows here by itself.
"""

from __future__ import annotations

from typing import Any

_FRAMEWORK_OF_LIST = {
    "MODEL_LIST": None,
    "PYTORCH_MODEL_LIST": "pytorch",
    "SKLEARN_MODEL_LIST": "sklearn",
}


def __getattr__(name: str) -> Any:
    if name.startswith("_") or name != name.upper():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ktt_core.registry import get_model, list_models

    if name in _FRAMEWORK_OF_LIST:
        return [entry.id for entry in list_models(_FRAMEWORK_OF_LIST[name])]
    ids = {_class_name(entry.id): entry.id for entry in list_models()}
    if name in ids:
        return get_model(ids[name])
    raise AttributeError(f"module {__name__!r} has no model {name!r}; it has: {', '.join(ids)}")


def __dir__() -> list[str]:
    from ktt_core.registry import list_models

    return sorted([*_FRAMEWORK_OF_LIST, *(_class_name(entry.id) for entry in list_models())])


def _class_name(model_id: str) -> str:
    return model_id.upper().replace("-", "_")
