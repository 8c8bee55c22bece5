"""Tf-idf, one flat classifier; registers the model without importing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktt_core.registry import register

if TYPE_CHECKING:
    from ktt_core.model import Model


@register(
    "tfidf_lsgd",
    display_name="Tf-idf, one flat classifier",
    framework="sklearn",
    summary="One linear classifier over the leaves, on tf-idf rows.",
)
def load() -> type[Model]:
    """Import the model's class."""
    from ktt_models.tfidf_lsgd.tfidf_lsgd import TfidfLSGD

    return TfidfLSGD
