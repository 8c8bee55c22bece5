"""Hyperparameters of `db_linear`; imports no torch."""

from __future__ import annotations

from typing import Any, ClassVar

from ktt_models.pytorch.config import EncoderConfig

__all__ = ["DBLinearConfig"]


class DBLinearConfig(EncoderConfig):
    """Hyperparameters of `DBLinear`."""

    original: ClassVar[dict[str, Any]] = {
        **EncoderConfig.original,
        "encoder_lr": 1e-5,
        "classifier_lr": 1e-5,
        "dropout": 0.25,
        "batch_size": 32,
        "eval_batch_size": 64,
    }
