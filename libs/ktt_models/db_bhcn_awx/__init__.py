"""Encoder, BHCN with AWX; registers the model without importing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktt_core.registry import register

if TYPE_CHECKING:
    from ktt_core.model import Model


@register(
    "db_bhcn_awx",
    display_name="Encoder, BHCN with AWX",
    framework="pytorch",
    config="ktt_models.db_bhcn_awx.config:DBBHCNAWXConfig",
    summary="BHCN whose upper levels' scores come from the leaves below them.",
)
def load() -> type[Model]:
    """Import the model's class."""
    from ktt_models.db_bhcn_awx.db_bhcn_awx import DBBHCNAWX

    return DBBHCNAWX
