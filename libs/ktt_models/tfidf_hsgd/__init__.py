"""Tf-idf, one classifier per class; registers the model without importing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktt_core.registry import register

if TYPE_CHECKING:
    from ktt_core.model import Model


@register(
    "tfidf_hsgd",
    display_name="Tf-idf, one classifier per class",
    framework="sklearn",
    summary="A linear classifier over the children of every class, on tf-idf rows.",
)
def load() -> type[Model]:
    """Import the model's class."""
    from ktt_models.tfidf_hsgd.tfidf_hsgd import TfidfHSGD

    return TfidfHSGD
