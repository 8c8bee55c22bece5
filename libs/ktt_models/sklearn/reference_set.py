"""The reference set of a tf-idf model: what monitoring compares live texts with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import DataError
from ktt_core.model import Loader
from ktt_core.reference import reference_table

if TYPE_CHECKING:
    import pyarrow as pa

    from ktt_models.sklearn.model import SklearnModel

__all__ = ["reference_set"]


def reference_set(model: SklearnModel, loader: Loader) -> pa.Table:
    """See `ktt_models.sklearn.model.SklearnModel.gen_reference_set`."""
    if not loader.n_rows:
        raise DataError("a reference set needs rows, and this split has none")
    # By leaf, as a table's columns lie: they become the table without another copy.
    proba = np.empty((model.taxonomy.n_leaves, loader.n_rows), dtype=np.float32)
    codes, features, done = [], [], 0
    for batch in loader:
        texts = batch.inputs["text"]
        levels, watched = model.scores_and_features(batch.inputs)
        log_proba = leaf_log_proba(levels, model.taxonomy, model.temperature)
        np.exp(log_proba.T, out=proba[:, done : done + len(texts)])
        done += len(texts)
        codes.append(batch.codes)
        features.append(watched)
    return reference_table(model.taxonomy, np.concatenate(codes), np.concatenate(features), proba.T)
