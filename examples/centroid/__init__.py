"""A model from outside: neither PyTorch nor scikit-learn, and not in ``libs/``.

The entry point ``centroid = "centroid:load"`` of the group ``ktt.models`` is all that makes it
known to every service and to ``ktt``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktt_core.registry import register

if TYPE_CHECKING:
    from ktt_core.model import Model


@register(
    "centroid",
    display_name="Nearest centroid",
    framework="numpy",
    summary="Cosine similarity to the mean of each leaf's texts; an example from outside.",
)
def load() -> type[Model]:
    """Import and return the model's class."""
    from centroid.centroid import Centroid

    return Centroid
