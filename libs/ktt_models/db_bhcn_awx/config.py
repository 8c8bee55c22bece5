"""Hyperparameters of `db_bhcn_awx`; imports no torch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from ktt_models.pytorch.config import EncoderConfig

__all__ = ["DBBHCNAWXConfig"]


class DBBHCNAWXConfig(EncoderConfig):
    """Hyperparameters of `DBBHCNAWX`."""

    original: ClassVar[dict[str, Any]] = {
        **EncoderConfig.original,
        "encoder_lr": 5.236e-5,
        "classifier_lr": 3.658e-4,
        "gamma_l": -0.3367,
        "lambda_l": 0.7255,
        "dropout": 0.475,
        "awx_norm": 5,
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
    awx_norm: int = Field(
        5,
        ge=0,
        le=100,
        description="The norm n that aggregates leaves to their ancestors; 0: the maximum.",
    )
    nonlinear: Literal["relu", "tanh"] = Field(
        "relu", description="Activation function between levels."
    )
