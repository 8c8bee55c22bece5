"""Artifacts from which a bundle serves a tf-idf model, and their check."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import DataError, KttError, UnsupportedError
from ktt_core.own_preprocessor import portable_source
from ktt_core.parity import ParityFigures
from ktt_core.preprocessors.stored import write_preprocessor
from ktt_core.tfidf.reference_features import REFERENCE_FEATURE_TITLES, reference_features
from ktt_core.tfidf.scorer import FlatScorer, HierarchicalScorer, load_scorer
from ktt_core.tfidf.text_rows import TextRows, read_array_file
from ktt_core.tfidf.vocabulary import write_vocabulary
from ktt_models.export.artifacts_layout import MODEL_NAME, write_description
from ktt_models.export.onnx_layout import check_hierarchy, write_hierarchy
from ktt_models.export.parity import compare_answers
from ktt_models.export.runtime import Answers

if TYPE_CHECKING:
    from ktt_models.sklearn.model import SklearnModel

__all__ = ["PARAMS_NAME", "WEIGHTS_NAME", "parity", "write_artifacts"]

PARAMS_NAME, WEIGHTS_NAME = "weights.json", "weights.npz"

_KINDS = (FlatScorer.kind, HierarchicalScorer.kind)
_DAMAGED = (KeyError, KttError, OSError, RecursionError, TypeError, ValueError)


def write_artifacts(model: SklearnModel, folder: Path) -> None:
    """Write the vocabulary, the weights and the classes.

    Parameters
    ----------
    model : SklearnModel
        Trained.
    folder : Path
        Exists, and is empty.

    Raises
    ------
    UnsupportedError
        If the model is not trained, or its solver is not one of `ktt_models.sklearn.solvers`.
    """
    arrays, params = model.solver.state_dict()
    if params.get("kind") not in _KINDS:
        raise UnsupportedError(
            f"{model.model_id}'s solver is not of a kind that a bundle serves; the model needs an "
            "export_artifacts of its own"
        )
    portable_source(model.preprocessor, model.model_id)
    write_hierarchy(model.taxonomy, folder)
    write_preprocessor(model.preprocessor, folder)
    write_vocabulary(model.vectorizer, folder)
    (folder / PARAMS_NAME).write_text(json.dumps(params, indent=2) + "\n", encoding="utf-8")
    np.savez(folder / WEIGHTS_NAME, **arrays)  # type: ignore[arg-type]
    write_description(model, folder, "tfidf", REFERENCE_FEATURE_TITLES)


def parity(model: SklearnModel, folder: Path, texts: Iterable[str]) -> ParityFigures:
    """Compare artifacts, read as a bundle reads them, with their model on texts."""
    check_hierarchy(folder, model.taxonomy)
    try:
        rows = TextRows(folder)
        params = json.loads((folder / PARAMS_NAME).read_text(encoding="utf-8"))
        temperature = float(json.loads((folder / MODEL_NAME).read_text("utf-8"))["temperature"])
        scorer = load_scorer(model.taxonomy, read_array_file(folder / WEIGHTS_NAME), params)
    except _DAMAGED as error:
        raise DataError(f"the artifacts in {folder} cannot be read: {error}") from error

    def answer(part: list[str]) -> Answers:
        prepared = rows.prepared(part)
        terms, unknown = rows.vectorizer.transform_counted(prepared)
        log_proba = leaf_log_proba(scorer.level_scores(terms), model.taxonomy, temperature)
        return Answers(log_proba, reference_features(terms, prepared, unknown))

    return compare_answers(model, answer, texts, batches=(1, 31))
