"""Preprocessors: from texts to a model's inputs, in training and in bundles."""

from __future__ import annotations

from ktt_core.preprocessors.base import BasePreprocessor, preprocessor_from_json
from ktt_core.preprocessors.snowball import SnowballStemmerPreprocessor
from ktt_core.preprocessors.transformer import TransformerPreprocessor

__all__ = [
    "BasePreprocessor",
    "SnowballStemmerPreprocessor",
    "TransformerPreprocessor",
    "preprocessor_from_json",
]
