"""Hyperparameters that the tf-idf models share."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from ktt_core.config import ModelConfig
from ktt_core.errors import InvalidArgumentError
from ktt_core.preprocessors import SnowballStemmerPreprocessor

__all__ = ["EstimatorConfig", "NgramRange", "TfidfConfig"]


def _check_range(value: tuple[int, int]) -> tuple[int, int]:
    shortest, longest = value
    if not 1 <= shortest <= longest <= 20:
        raise ValueError("needs 1 <= shortest <= longest <= 20, for example [1, 2]")
    return value


def _check_language(value: str | None) -> str | None:
    if value is not None:
        try:
            SnowballStemmerPreprocessor(value)
        except InvalidArgumentError as error:
            raise ValueError(str(error)) from None
    return value


#: Shortest and longest n-gram.
NgramRange = Annotated[tuple[int, int], AfterValidator(_check_range)]
#: A number of rows (a whole number), or a share of them (a fraction).
_Rows = Annotated[int, Field(ge=1)]
_Share = Annotated[float, Field(gt=0.0, le=1.0)]


class EstimatorConfig(ModelConfig):
    """Features of a scikit-learn classifier over tf-idf rows."""

    max_chars: int = Field(
        100_000,
        ge=1,
        description="Maximum number of characters of a text; the rest is cut off.",
    )
    word_ngrams: NgramRange | None = Field(
        (1, 2), description="Minimum and maximum length of word n-grams; null: no words."
    )
    char_ngrams: NgramRange | None = Field(
        (3, 6), description="Minimum and maximum length of character n-grams; null: none."
    )
    stem: Annotated[str | None, AfterValidator(_check_language)] = Field(
        "english", description="Language of the words' Snowball stemmer; null: words stay whole."
    )
    min_df: _Rows | _Share = Field(
        1, description="Training rows (a whole number, or a share) a word term must occur in."
    )
    char_min_df: _Rows | _Share = Field(
        2, description="Training rows (a whole number, or a share) a character term must occur in."
    )
    max_df: float = Field(
        1.0, gt=0.0, le=1.0, description="Share of the training rows a term may occur in."
    )
    max_features: int | None = Field(
        300_000, ge=1, description="Word terms, and character terms, to keep; null keeps all."
    )
    sublinear_tf: bool = Field(
        True, description="Weight terms by 1 + ln(count) instead of the count."
    )
    word_weight: float = Field(
        1.5,
        gt=0.0,
        le=100.0,
        description="Weight of the word terms against 1 for the character terms.",
    )
    max_weights: int = Field(
        20_000_000,
        ge=1,
        description="Weights, of terms times leaves (4 bytes each, several times that while they "
        "are trained); the rarest terms go first.",
    )

    @model_validator(mode="after")
    def _check_terms(self) -> EstimatorConfig:
        if self.word_ngrams is None and self.char_ngrams is None:
            raise ValueError("word_ngrams and char_ngrams cannot both be null: no terms are left")
        return self


class TfidfConfig(EstimatorConfig):
    """Features and training of a linear model over tf-idf rows."""

    #: Defaults of ``profile=original``.
    original: ClassVar[dict[str, Any]] = {
        "word_ngrams": (1, 1),
        "char_ngrams": None,
        "min_df": 50,
        "max_features": None,
        "sublinear_tf": False,
        "loss": "modified_huber",
    }

    profile: Literal["default", "original"] = Field(
        "default",
        description="Set of defaults: the best measured ones, or those of the original project.",
    )
    loss: Literal["softmax", "modified_huber"] = Field(
        "softmax", description="Loss that is minimised."
    )
    epochs: int = Field(8, ge=1, le=10_000, description="Passes over the training rows.")
    alpha: float = Field(
        0.0,
        ge=0.0,
        le=100.0,
        description="Strength of the L2 penalty on the weights.",
    )
    learning_rate: float = Field(0.5, gt=0.0, le=100.0, description="Step size of AdaGrad.")
    max_weights: int = Field(
        120_000_000,
        ge=1,
        description="Weights to train (8 bytes each, 4 when done); the rarest terms' go first.",
    )
    class_weight: Literal["balanced"] | None = Field(
        None,
        description="balanced: a class weighs rows / (classes * its rows); null: rows are equal.",
    )
    n_jobs: int | None = Field(
        None, ge=1, description="Processor cores to use; null: all that this process may use."
    )

    @model_validator(mode="before")
    @classmethod
    def _apply_profile(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("profile") == "original":
            return {**cls.original, **values}
        return values
