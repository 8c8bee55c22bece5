"""What an encoder model has to beat: logistic regression on the encoder's features as they are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ktt_core.config import build_config
from ktt_core.datasets.dataset import Dataset
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.encoders import encoder_preprocessor, find_encoder
from ktt_models.pytorch.encoders.encoder import Encoder
from ktt_models.pytorch.input.loader import load_split
from quality.runs import Result

__all__ = ["FROZEN", "fit_frozen"]

FROZEN = "frozen"

# Strengths of the regularisation to choose from, on the validation split.
_STRENGTHS = (1.0, 10.0, 100.0)


def fit_frozen(dataset: Dataset, settings: Mapping[str, Any]) -> Result:
    """Fit scikit-learn's logistic regression over the leaves, and test it.

    Parameters
    ----------
    dataset : Dataset
    settings : mapping
        Of the encoder and its input, as for the models.
    """
    from sklearn.linear_model import LogisticRegression

    started, cpu_started = time.perf_counter(), time.process_time()
    fields = EncoderConfig.model_fields
    known = {name: value for name, value in settings.items() if name in fields}
    config = build_config(EncoderConfig, FROZEN, known)
    folder = find_encoder(config.encoder, config.download)
    preprocessor = encoder_preprocessor(folder, config.max_len)
    encoder = Encoder.from_folder(folder, config.pooling)
    features, leaves = {}, {}
    for name in ("train", "val", "test"):
        rows, codes = [], []
        for batch in load_split(dataset.split(name), preprocessor, config):
            tokens = {key: torch.from_numpy(value) for key, value in batch.inputs.items()}
            with torch.inference_mode():
                rows.append(encoder(**tokens).numpy())
            codes.append(batch.codes[:, -1])
        features[name], leaves[name] = np.concatenate(rows), np.concatenate(codes)
    depth = dataset.taxonomy.depth
    best: tuple[float, float, NDArray[np.int64]] | None = None
    for strength in _STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=1000)
        model.fit(features["train"], leaves["train"])

        right = {
            split: _right_levels(model, dataset, features, leaves, split) for split in features
        }
        score = float(right["val"].mean()) / depth
        if best is None or score > best[0]:
            best = score, strength, right["test"]
    assert best is not None
    score, strength, found = best
    return Result(
        dataset.name,
        FROZEN,
        0,
        known,
        found.tolist(),
        depth,
        {"hierarchical_f1": score},
        {"hierarchical_f1": float(found.mean()) / depth},
        time.perf_counter() - started,
        time.process_time() - cpu_started,
        {"C": strength, **config.model_dump(mode="json")},
    )


def _right_levels(
    model: Any,
    dataset: Dataset,
    features: Mapping[str, NDArray[np.float32]],
    leaves: Mapping[str, NDArray[np.int32]],
    split: str,
) -> NDArray[np.int64]:
    """Return, for each row, the levels down to which the predicted path is right."""
    leaf_codes = dataset.taxonomy.leaf_codes
    found = leaf_codes[model.predict(features[split])]
    levels = found == leaf_codes[leaves[split]]
    return np.logical_and.accumulate(levels, axis=1).sum(axis=1)
