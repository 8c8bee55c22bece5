"""Inputs of an exported encoder's graph, made by the tokenizer beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ktt_core.errors import CheckpointError, InvalidArgumentError, KttError
from ktt_core.preprocessors.cleaning import clean_texts
from ktt_core.preprocessors.stored import read_preprocessor
from ktt_core.preprocessors.transformer import TOKENIZER_FILE, TransformerPreprocessor

__all__ = ["TokenRows"]


class TokenRows:
    """Converts texts to token ids, exactly as in training.

    Parameters
    ----------
    folder : path
        Has a ``tokenizer.json`` that defines maximum length and padding and, if the model has its
        own preprocessor, a ``preprocessor.json``.

    Raises
    ------
    CheckpointError
        If the file is missing or damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        file = Path(folder) / TOKENIZER_FILE
        try:
            max_length = json.loads(file.read_text(encoding="utf-8"))["truncation"]["max_length"]
            tokenizer = TransformerPreprocessor(file, max_length)
        except (
            KeyError, KttError, OSError, OverflowError, RecursionError, TypeError, ValueError
        ) as error:  # fmt: skip
            raise CheckpointError(f"the tokenizer {file} cannot be read: {error}") from error
        self.preprocessor = tokenizer.after(read_preprocessor(folder))

    def __call__(self, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return the graph's inputs for texts.

        Parameters
        ----------
        texts : sequence of str, length n
            White space and control characters are normalised as in the training data.

        Returns
        -------
        dict of str to ndarray
            ``input_ids`` and ``attention_mask``: int64, shape (n, length of the longest text); the
            mask is 1 for tokens and 0 for padding.

        Raises
        ------
        InvalidArgumentError
            If `texts` is one string, or an entry is not a valid Unicode string.
        """
        if isinstance(texts, (str, bytes)):
            raise InvalidArgumentError("texts is a list of texts, not one text: wrap it in a list")
        return self.preprocessor(clean_texts(texts))
