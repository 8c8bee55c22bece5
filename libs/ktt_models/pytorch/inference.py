"""Scoring of texts with a trained network, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ktt_core.model import Batch
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.network import EncoderNetwork
from ktt_models.pytorch.training.failures import memory_errors
from ktt_models.pytorch.training.microbatches import cut, to_tensors

__all__ = ["predict_scores"]

FloatArray = NDArray[np.float32]


def predict_scores(
    network: EncoderNetwork, inputs: Mapping[str, Any], config: EncoderConfig, head: bool = True
) -> tuple[FloatArray, list[FloatArray]]:
    """Return the features and the level scores of texts.

    Rows are sorted by length and computed `eval_batch_size` at a time; results are in the input's
    order.

    Parameters
    ----------
    network : EncoderNetwork
    inputs : mapping of str to ndarray
        ``input_ids`` and ``attention_mask``, shape (n, length), or ``features``, shape (n, d).
    config : EncoderConfig
    head : bool
        Whether to compute the head's scores.

    Returns
    -------
    features : ndarray of float32, shape (n, d)
    levels : list of ndarray of float32
        See `ktt_core.model.Model.level_scores`.

    Raises
    ------
    ResourceExhaustedError
        If there is not enough memory.
    """
    arrays = {
        name: np.asarray(inputs[name])
        for name in ("features", "input_ids", "attention_mask")
        if name in inputs
    }
    parts = [
        (rows, _score(network, {name: array[rows] for name, array in arrays.items()}, config, head))
        for rows in _parts(arrays, config.eval_batch_size)
    ]
    if len(parts) == 1:
        return parts[0][1]
    order = np.concatenate([rows for rows, _ in parts])
    results = list(zip(*([features, *levels] for _, (features, levels) in parts), strict=True))
    features, *levels = [_in_order(blocks, order) for blocks in results]
    return features, levels


def _parts(arrays: Mapping[str, NDArray[Any]], size: int) -> Iterator[NDArray[np.intp]]:
    n_rows = len(next(iter(arrays.values())))
    if n_rows <= size:
        yield np.arange(n_rows)
        return
    mask = arrays.get("attention_mask")
    order = np.arange(n_rows) if mask is None else np.argsort(mask.sum(axis=1), kind="stable")
    for start in range(0, n_rows, size):
        yield order[start : start + size]


def _score(
    network: EncoderNetwork, inputs: Mapping[str, NDArray[Any]], config: EncoderConfig, head: bool
) -> tuple[FloatArray, list[FloatArray]]:
    device = next(network.parameters()).device
    if network.training:
        network.eval()
    short = cut(Batch(inputs, np.empty((0, 0), np.int32)), slice(None)).inputs
    with memory_errors(config, training=False), torch.inference_mode():
        features = network.features(to_tensors(short, device))
        levels = network.level_scores(features) if head else ()
        return features.cpu().numpy(), [level.cpu().numpy() for level in levels]


def _in_order(blocks: tuple[FloatArray, ...], order: NDArray[np.intp]) -> FloatArray:
    result = np.empty((len(order), blocks[0].shape[1]), dtype=np.float32)
    result[order] = np.concatenate(blocks)
    return result
