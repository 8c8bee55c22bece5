"""Joint SGD solvers over sparse rows; compiled when imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ktt_models.sklearn.solvers.flat import FlatSGDClassifier
    from ktt_models.sklearn.solvers.hierarchical import HierarchicalSGDClassifier

__all__ = ["FlatSGDClassifier", "HierarchicalSGDClassifier"]


def __getattr__(name: str) -> Any:
    if name == "FlatSGDClassifier":
        from ktt_models.sklearn.solvers.flat import FlatSGDClassifier

        return FlatSGDClassifier
    if name == "HierarchicalSGDClassifier":
        from ktt_models.sklearn.solvers.hierarchical import HierarchicalSGDClassifier

        return HierarchicalSGDClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
