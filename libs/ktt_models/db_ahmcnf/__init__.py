"""Encoder, HMCN-F; registers the model without importing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktt_core.registry import register

if TYPE_CHECKING:
    from ktt_core.model import Model


@register(
    "db_ahmcnf",
    display_name="Encoder, HMCN-F",
    framework="pytorch",
    config="ktt_models.db_ahmcnf.config:DBAHMCNFConfig",
    summary="A frozen encoder, and a global and a local flow through the levels.",
)
def load() -> type[Model]:
    """Import the model's class."""
    from ktt_models.db_ahmcnf.db_ahmcnf import DBAHMCNF

    return DBAHMCNF
