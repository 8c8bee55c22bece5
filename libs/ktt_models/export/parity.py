"""Comparison of an exported folder, with its own code and graph, with its model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from ktt_core.decoding import leaf_log_proba
from ktt_core.model import Model
from ktt_core.parity import ParityCounter, ParityFigures
from ktt_core.preprocessors.cleaning import clean_texts
from ktt_models.export.onnx_layout import GRAPH_NAME, check_hierarchy
from ktt_models.export.runtime import Answers, load_text_rows, open_session

__all__ = ["compare_answers", "parity"]

# Batch size of the model.
_BLOCK_ROWS = 32


def parity(
    model: Model,
    folder: Path,
    texts: Iterable[str],
    package: Mapping[str, bytes],
    batches: Sequence[int],
    odd: Sequence[str] = (),
    threads: int = 1,
) -> ParityFigures:
    """Compare the answers of a model and of its exported folder on texts.

    The folder uses only its own files: its package creates the inputs, its graph computes the
    answers, and its ``hierarchy.json`` names the leaves. The package is run only if it is, byte for
    byte, what an export writes.

    Parameters
    ----------
    model : Model
    folder : Path
        What the model's export has written.
    texts : iterable of str
        Raw texts, which both sides clean. Read in blocks.
    package : mapping of str to bytes
        What the folder's package must hold, by the paths in it.
    batches : sequence of int
        Alternating batch sizes of the graph; the model has its own.
    odd : sequence of str
        Unusual texts that are compared additionally, one by one. They do not count as rows, but
        their largest difference does.
    threads : int
        Of the graph.

    Returns
    -------
    ParityFigures

    Raises
    ------
    DataError
        If there are no texts, or files of the folder are missing, damaged or of another model.
    InvalidArgumentError
        If a text is not a valid Unicode string.
    """
    folder = Path(folder).resolve()
    with load_text_rows(folder, package) as text_rows:
        check_hierarchy(folder, model.taxonomy)
        session = open_session(folder / GRAPH_NAME, threads)

        def answer(part: list[str]) -> Answers:
            return Answers(*session.run(["log_proba", "features"], text_rows(part)))

        return compare_answers(model, answer, texts, batches, odd)


def compare_answers(
    model: Model,
    answer: Callable[[list[str]], Answers],
    texts: Iterable[str],
    batches: Sequence[int],
    odd: Sequence[str] = (),
) -> ParityFigures:
    """Compare the answers of a model and of an export of it on texts.

    Parameters
    ----------
    model : Model
    answer : callable
        Maps raw texts to the columns of monitoring rows.
    texts, batches, odd
        As `parity` has them.

    Returns
    -------
    ParityFigures

    Raises
    ------
    DataError
        If there are no texts.
    InvalidArgumentError
        If a text is not a valid Unicode string.
    """
    rows, extremes, read = ParityCounter(), ParityCounter(), 0
    iterator, sizes = iter(texts), cycle(batches)
    while block := list(islice(iterator, _BLOCK_ROWS)):
        expected = _answers_of(model, clean_texts(block, read))
        found = _in_parts(answer, block, sizes)
        rows.add(expected.log_proba, found.log_proba)
        _add_features(rows, expected, found)
        read += len(block)
    for text in odd:
        expected, found = _answers_of(model, clean_texts([text])), answer([text])
        extremes.add(expected.log_proba, found.log_proba)
        # Two texts are too few to estimate the scale of a column.
        _add_features(rows, expected, found)
    figures = rows.figures()
    if not odd:
        return figures
    largest = max(
        figures.max_probability_difference, extremes.figures().max_probability_difference,
        key=lambda value: (np.isnan(value), value),
    )  # fmt: skip
    return replace(figures, max_probability_difference=largest)


def _answers_of(model: Model, texts: list[str]) -> Answers:
    levels, features = model.scores_and_features(model.preprocessor(texts))
    return Answers(leaf_log_proba(levels, model.taxonomy, model.temperature), features)


def _add_features(rows: ParityCounter, expected: Answers, found: Answers) -> None:
    if expected.features is not None and found.features is not None:
        rows.add_features(expected.features[:, : found.features.shape[1]], found.features)


def _in_parts(
    answer: Callable[[list[str]], Answers], block: list[str], sizes: Iterator[int]
) -> Answers:
    rest, parts = iter(block), []
    while part := list(islice(rest, next(sizes))):
        parts.append(answer(part))
    features = [part.features for part in parts if part.features is not None]
    return Answers(
        np.concatenate([part.log_proba for part in parts]),
        np.concatenate(features) if features else None,
    )
