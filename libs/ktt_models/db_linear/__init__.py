"""Encoder, one linear layer; registers the model without importing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktt_core.registry import register

if TYPE_CHECKING:
    from ktt_core.model import Model


@register(
    "db_linear",
    display_name="Encoder, one linear layer",
    framework="pytorch",
    config="ktt_models.db_linear.config:DBLinearConfig",
    summary="A transformer encoder and one linear layer over the leaves.",
)
def load() -> type[Model]:
    """Import the model's class."""
    from ktt_models.db_linear.db_linear import DBLinear

    return DBLinear
