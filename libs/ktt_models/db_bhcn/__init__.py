"""Encoder, BHCN; registers the model without importing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktt_core.registry import register

if TYPE_CHECKING:
    from ktt_core.model import Model


@register(
    "db_bhcn",
    display_name="Encoder, BHCN",
    framework="pytorch",
    config="ktt_models.db_bhcn.config:DBBHCNConfig",
    summary="Linear layers level by level, and a penalty on levels that disagree.",
)
def load() -> type[Model]:
    """Import the model's class."""
    from ktt_models.db_bhcn.db_bhcn import DBBHCN

    return DBBHCN
