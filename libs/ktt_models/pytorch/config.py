"""Hyperparameters that the models on a transformer encoder share."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from ktt_core.config import ModelConfig

__all__ = ["EncoderConfig"]


class EncoderConfig(ModelConfig):
    """Encoder, input and training of a neural model.

    A model's class adds its head's fields, may change defaults, and sets the original project's
    values in `original`.
    """

    #: Defaults of ``profile=original``. A model's class extends it.
    original: ClassVar[dict[str, Any]] = {
        "pooling": "cls",
        "max_len": 64,
        "epochs": 5,
        "batch_size": 16,
        "weight_decay": 0.01,
        "warmup": 0.0,
        "schedule": "constant",
        "clip_norm": None,
    }

    profile: Literal["default", "original"] = Field(
        "default",
        description="Set of defaults: the best measured ones, or those of the original project.",
    )

    # -- the encoder and what it reads
    encoder: str = Field(
        "distilbert-base-uncased",
        min_length=1,
        max_length=4096,
        description="The encoder: its name on the Hugging Face hub, or its local folder.",
    )
    download: bool = Field(
        False, description="Download the encoder from the hub if it is not on this machine."
    )
    pooling: Literal["cls", "mean"] = Field(
        "mean",
        description="Pooling of a text's features: the first token's, or the mean over tokens.",
    )
    max_len: int = Field(
        64,
        ge=4,
        le=65_536,
        description="Maximum number of tokens of a text; at most the encoder's limit.",
    )
    dropout: float = Field(0.1, ge=0.0, lt=1.0, description="Dropout rate of the features.")
    freeze_encoder: bool = Field(
        False,
        description="Train only the head, on features that are computed once per text.",
    )

    # -- steps
    epochs: int = Field(3, ge=1, le=10_000, description="Passes over the training rows.")
    batch_size: int = Field(
        16, ge=1, le=65_536, description="Texts of a training step, over all processes."
    )
    eval_batch_size: int = Field(
        64,
        ge=1,
        le=65_536,
        description="Batch size of validation, tests and predictions.",
    )
    accumulate: int = Field(
        1,
        ge=1,
        le=65_536,
        description="Number of parts in which a step's texts are computed, to save memory.",
    )
    encoder_lr: float = Field(
        2e-4, ge=0.0, le=1.0, description="Highest learning rate of the encoder's weights."
    )
    classifier_lr: float = Field(
        5e-3, gt=0.0, le=10.0, description="Highest learning rate of the head's weights."
    )
    weight_decay: float = Field(
        0.01,
        ge=0.0,
        le=10.0,
        description="Weight decay per step, times the learning rate; not for biases and norms.",
    )
    warmup: float = Field(
        0.1, ge=0.0, le=1.0, description="Share of all steps in which the learning rates rise."
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="Decay of the learning rates after the warm-up; constant: none."
    )
    clip_norm: float | None = Field(
        1.0, gt=0.0, le=1e6, description="Maximum norm of a step's gradient; null: no limit."
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Epochs without a higher hierarchical F1 on the validation rows after which "
        "training ends; null: never early.",
    )

    # -- rare classes
    class_weight: Literal["balanced"] | None = Field(
        None,
        description="balanced: a class weighs rows / (classes * its rows); null: rows are equal.",
    )
    logit_adjustment: float = Field(
        0.0,
        ge=0.0,
        le=10.0,
        description="Strength of the logit adjustment by the classes' frequencies in training, "
        "which helps rare classes; 0: none, 1: full.",
    )

    # -- the machine
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="Precision of the encoder; auto: bf16 on a GPU that supports it, else fp32.",
    )
    processes: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Number of data-parallel processes, each with a GPU if there are any; "
        "null: the number of GPUs, or one.",
    )
    checkpoint_minutes: float = Field(
        10.0,
        gt=0.0,
        le=10_080.0,
        description="Minutes between checkpoints within an epoch, in addition to one at its end.",
    )

    def check_here(self) -> None:
        """Check that the encoder exists, unless it may be downloaded; raises as `find_encoder`."""
        from ktt_models.pytorch.encoders.discovery import find_encoder

        if not self.download:
            find_encoder(self.encoder)

    @model_validator(mode="before")
    @classmethod
    def _apply_profile(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("profile") == "original":
            return {**cls.original, **values}
        return values

    @model_validator(mode="after")
    def _check_parts(self) -> EncoderConfig:
        parts = self.accumulate * (self.processes or 1)
        if parts > self.batch_size:
            raise ValueError(
                f"batch_size = {self.batch_size} texts cannot be shared by accumulate * processes "
                f"= {parts} parts: raise batch_size or lower the others"
            )
        return self
