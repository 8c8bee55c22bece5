"""Hyperparameters of `db_ahmcnf`; imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from ktt_models.pytorch.config import EncoderConfig

__all__ = ["DBAHMCNFConfig"]

_Size = Annotated[int, Field(ge=1, le=65_536)]
_Sizes = Annotated[list[_Size], Field(min_length=1, max_length=64)]


class DBAHMCNFConfig(EncoderConfig):
    """Hyperparameters of `DBAHMCNF`."""

    original: ClassVar[dict[str, Any]] = {
        **EncoderConfig.original,
        "classifier_lr": 1e-3,
        "lambda_h": 0.05,
        "dropout": 0.25,
        "global_hidden_sizes": 384,
        "local_hidden_sizes": 384,
        "global_weight": 0.5,
        "nonlinear": "relu",
        "prior_bias": False,
        "batch_size": 4,
        "eval_batch_size": 4,
    }

    # Its features are computed once, so passes over them are cheap.
    epochs: int = Field(20, ge=1, le=10_000, description="Passes over the training rows.")
    batch_size: int = Field(
        32, ge=1, le=65_536, description="Texts of a training step, over all processes."
    )
    classifier_lr: float = Field(
        3e-3, gt=0.0, le=10.0, description="Highest learning rate of the head's weights."
    )
    dropout: float = Field(0.25, ge=0.0, lt=1.0, description="Dropout rate of the hidden layers.")
    freeze_encoder: bool = Field(
        True,
        description="Train only the head, on features that are computed once per text.",
    )
    global_hidden_sizes: _Size | _Sizes = Field(
        384,
        description="Width of the global flow: for all levels, or a list with one number per "
        "level, of which the last also applies to deeper levels.",
    )
    local_hidden_sizes: _Size | _Sizes = Field(
        384, description="Width of the local flows, in the same form."
    )
    global_weight: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="Share of the global flow in the final scores; the rest is the local flows'.",
    )
    lambda_h: float = Field(
        0.05,
        ge=0.0,
        le=100.0,
        description="Weight of the penalty on classes that score above their parents.",
    )
    nonlinear: Literal["relu", "tanh"] = Field(
        "relu", description="Activation function of the hidden layers."
    )
    prior_bias: bool = Field(
        True,
        description="Initialise every class's score to its frequency in training instead of one "
        "half.",
    )
