"""Encoder, C-HMCNN; registers the model without importing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ktt_core.registry import register

if TYPE_CHECKING:
    from ktt_core.model import Model


@register(
    "db_achmcnn",
    display_name="Encoder, C-HMCNN",
    framework="pytorch",
    config="ktt_models.db_achmcnn.config:DBACHMCNNConfig",
    summary="Scores of all classes, constrained by a maximum over each subtree.",
)
def load() -> type[Model]:
    """Import the model's class."""
    from ktt_models.db_achmcnn.db_achmcnn import DBACHMCNN

    return DBACHMCNN
