"""Input of a run: token ids, or a frozen encoder's features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ktt_core.errors import InvalidArgumentError
from ktt_core.labels import Labels
from ktt_core.model import Loader
from ktt_core.progress import ProgressCallback
from ktt_core.taxonomy import Taxonomy
from ktt_models.pytorch.inference import predict_scores
from ktt_models.pytorch.input.features import FeatureLoader
from ktt_models.pytorch.input.loader import EncoderLoader, OrderedLoader

if TYPE_CHECKING:
    from ktt_models.pytorch.model import PyTorchModel

__all__ = ["class_counts", "prepared"]


def prepared(loader: Loader, model: PyTorchModel, progress: ProgressCallback) -> OrderedLoader:
    """Return a loader of the network's input, with a filled cache.

    Raises
    ------
    InvalidArgumentError
        If the loader is not from `PyTorchModel.get_dataloader_func`.
    """
    if not isinstance(loader, OrderedLoader):
        raise InvalidArgumentError(
            f"training needs a loader of {type(model).__name__}.get_dataloader_func(), not a "
            f"{type(loader).__name__}"
        )
    if model.config.freeze_encoder and isinstance(loader, EncoderLoader):
        network = model.network

        def encode(inputs: Mapping[str, Any]) -> NDArray[np.float32]:
            return predict_scores(network, inputs, model.config, head=False)[0]

        loader = FeatureLoader(
            loader,
            encode,
            network.encoder.fingerprint(),
            network.encoder.width,
            model.config.eval_batch_size,
        )
    loader.prepare(progress)
    return loader


def class_counts(loader: OrderedLoader, taxonomy: Taxonomy) -> list[torch.Tensor]:
    """Return the number of rows of every class, level by level: int64, shape (n_h,)."""
    return [torch.from_numpy(rows) for rows in Labels(loader.codes).rows_per_class(taxonomy)]
