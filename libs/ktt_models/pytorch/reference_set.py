"""The reference set of an encoder model: what monitoring compares live texts with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import DataError
from ktt_core.model import Loader
from ktt_core.reference import reference_table
from ktt_models.pytorch.input.loader import EncoderBatch

if TYPE_CHECKING:
    import pyarrow as pa

    from ktt_models.pytorch.model import PyTorchModel

__all__ = ["reference_set"]


def reference_set(model: PyTorchModel, loader: Loader) -> pa.Table:
    """See `ktt_models.pytorch.model.PyTorchModel.gen_reference_set`.

    The rows are in the split's order, whatever the batches': a window that begins with the last of
    them is a sample of the split, and not its shortest texts.
    """
    if not loader.n_rows:
        raise DataError("a reference set needs rows, and this split has none")
    # By leaf, as a table's columns lie: they become the table without another copy.
    proba = np.empty((model.taxonomy.n_leaves, loader.n_rows), dtype=np.float32)
    codes, pooled, places, done = [], [], [], 0
    for batch in loader:
        levels, features = model.scores_and_features(batch.inputs)
        log_proba = leaf_log_proba(levels, model.taxonomy, model.temperature)
        rows = np.arange(done, done + len(batch.codes))
        if isinstance(batch, EncoderBatch):
            rows = batch.rows
        proba[:, rows] = np.exp(log_proba.T)
        done += len(batch.codes)
        codes.append(batch.codes)
        pooled.append(features)
        places.append(rows)
    order = np.argsort(np.concatenate(places))
    return reference_table(
        model.taxonomy, np.concatenate(codes)[order], np.concatenate(pooled)[order], proba.T
    )
