"""Hyperparameters of `db_achmcnn`; imports no torch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ktt_models.pytorch.config import EncoderConfig

__all__ = ["DBACHMCNNConfig"]


class DBACHMCNNConfig(EncoderConfig):
    """Hyperparameters of `DBACHMCNN`."""

    original: ClassVar[dict[str, Any]] = {
        **EncoderConfig.original,
        "encoder_lr": 2e-5,
        "classifier_lr": 5e-4,
        "dropout": 0.0,
        "h_dropout": 0.7,
        "h_nonlinear": "relu",
        "h_hidden_dim": 512,
        "h_layer_count": 3,
        "prior_bias": False,
        "batch_size": 16,
        "eval_batch_size": 64,
    }

    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="Dropout rate of the features.")
    h_layer_count: int = Field(
        2, ge=1, le=64, description="Layers of the network; 1: a single linear layer."
    )
    h_hidden_dim: int = Field(1024, ge=1, le=65_536, description="Width of its hidden layers.")
    h_nonlinear: Literal["relu", "tanh"] = Field(
        "relu", description="Activation function of the hidden layers."
    )
    h_dropout: float = Field(0.3, ge=0.0, lt=1.0, description="Dropout rate of the hidden layers.")
    prior_bias: bool = Field(
        True,
        description="Initialise every class's score to its frequency in training instead of one "
        "half.",
    )
