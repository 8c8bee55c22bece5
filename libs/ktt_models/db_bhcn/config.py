"""Hyperparameters of `db_bhcn`; imports no torch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ktt_models.pytorch.config import EncoderConfig

__all__ = ["DBBHCNConfig"]


class DBBHCNConfig(EncoderConfig):
    """Hyperparameters of `DBBHCN`."""

    original: ClassVar[dict[str, Any]] = {
        **EncoderConfig.original,
        "encoder_lr": 3e-5,
        "classifier_lr": 5e-4,
        "gamma_l": -0.1,
        "lambda_l": 1.0,
        "lambda_h": 0.7,
        "dropout": 0.3,
        "nonlinear": "relu",
        "batch_size": 16,
        "eval_batch_size": 64,
    }

    gamma_l: float = Field(
        -0.1,
        ge=-1.0,
        le=1.0,
        description="Difference of the levels' loss weights: from 1 + gamma_l (first level) to 1 "
        "- gamma_l (last level), in equal steps.",
    )
    lambda_l: float = Field(1.0, ge=0.0, le=100.0, description="Weight of the levels' losses.")
    lambda_h: float = Field(
        0.7, ge=0.0, le=100.0, description="Weight of the penalty on levels that disagree."
    )
    nonlinear: Literal["relu", "tanh"] = Field(
        "relu", description="Activation function between levels."
    )
