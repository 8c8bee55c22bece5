"""Inputs of an exported tf-idf graph, made with the vocabulary beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import CheckpointError, InvalidArgumentError, KttError
from ktt_core.preprocessors.cleaning import clean_texts
from ktt_core.preprocessors.stored import read_preprocessor
from ktt_core.tfidf.vectorizer import TfidfVectorizer

__all__ = ["ARRAYS_NAME", "FORMAT_VERSION", "PARAMS_NAME", "TextRows", "read_array_file"]

#: Files of the vectorizer's parameters, and of the terms and their weights.
PARAMS_NAME, ARRAYS_NAME = "vocabulary.json", "vocabulary.npz"
FORMAT_VERSION = 1

_DAMAGED = (
    AttributeError, KeyError, KttError, OSError, RecursionError, TypeError, ValueError
)  # fmt: skip


def read_array_file(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an ``.npz`` file, which hold no objects.

    Raises
    ------
    CheckpointError
        If it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    # What zip, zlib, numpy and the tokenizer of Python, which reads headers, raise has no base.
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


class TextRows:
    """Converts texts to tf-idf rows, exactly as in training.

    Parameters
    ----------
    folder : path
        Has ``vocabulary.json`` (parameters of the vectorizer), ``vocabulary.npz`` (the terms and
        their weights) and, if the model has its own preprocessor, ``preprocessor.json``.

    Raises
    ------
    CheckpointError
        If the files are damaged or of another version.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        path = Path(folder)
        try:
            value = json.loads((path / PARAMS_NAME).read_text(encoding="utf-8"))
            if value.get("format_version") != FORMAT_VERSION:
                raise ValueError(f"it is not of version {FORMAT_VERSION}")
            arrays = read_array_file(path / ARRAYS_NAME)
            self.vectorizer = TfidfVectorizer.from_state(arrays, value["vectorizer"])
        except _DAMAGED as error:
            raise CheckpointError(f"the vocabulary in {path} cannot be read: {error}") from error
        self.preprocessor = read_preprocessor(path)

    def prepared(self, texts: Sequence[str]) -> list[str]:
        """Return texts in the vectorizer's input form: cleaned and preprocessed.

        Raises
        ------
        InvalidArgumentError
            If an entry is not a valid Unicode string.
        """
        found: list[str] = self.preprocessor(clean_texts(texts))["text"]
        return found

    def __call__(self, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Return the graph's inputs for texts.

        Parameters
        ----------
        texts : sequence of str, length n
            White space and control characters are normalised as in the training data. Memory grows
            with the texts: pass some hundreds at a time.

        Returns
        -------
        dict of str to ndarray
            ``term_ids``: int64, the known terms of all texts, concatenated. ``term_weights``:
            float32, their tf-idf weights. ``row_offsets``: int64, shape (n + 1,); text i has the
            terms from offset i up to offset i + 1.

        Raises
        ------
        InvalidArgumentError
            If `texts` is one string, or an entry is not a valid Unicode string.
        """
        if isinstance(texts, (str, bytes)):
            raise InvalidArgumentError("texts is a list of texts, not one text: wrap it in a list")
        rows = self.vectorizer.transform(self.prepared(texts))
        return {
            "term_ids": rows.indices.astype(np.int64),
            "term_weights": rows.data,
            "row_offsets": rows.indptr,
        }
