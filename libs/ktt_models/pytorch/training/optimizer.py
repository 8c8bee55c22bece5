"""AdamW with separate learning rates for encoder and head, and its state as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ktt_core.errors import CheckpointError
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.network import EncoderNetwork

__all__ = ["make_optimizer", "optimizer_arrays", "restore_optimizer", "set_rates"]

# AdamW's state of a weight.
_KEPT = ("step", "exp_avg", "exp_avg_sq")


def make_optimizer(network: EncoderNetwork, config: EncoderConfig) -> torch.optim.AdamW:
    """Return AdamW over the weights that are trained, in one fused kernel.

    Matrices decay; biases and the weights of norms, which are vectors, do not.
    """
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, weight in network.trained():
        rate = config.encoder_lr if name.startswith("encoder.") else config.classifier_lr
        decay = config.weight_decay if weight.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(weight)
    return torch.optim.AdamW(
        [
            {"params": weights, "lr": rate, "highest_lr": rate, "weight_decay": decay}
            for (rate, decay), weights in groups.items()
        ],
        fused=True,
    )


def set_rates(optimizer: Any, factor: float) -> None:
    """Set every group's rate to a share of its highest."""
    for group in optimizer.param_groups:
        group["lr"] = group["highest_lr"] * factor


def optimizer_arrays(
    network: EncoderNetwork, optimizer: torch.optim.Optimizer, copy: bool
) -> dict[str, NDArray[Any]]:
    """Return the optimizer's state as arrays, by the weights' names.

    Parameters
    ----------
    network : EncoderNetwork
    optimizer : Optimizer
    copy : bool
        Whether to copy arrays that further training changes.
    """
    arrays = {}
    for name, weight in network.trained():
        for key, tensor in optimizer.state.get(weight, {}).items():
            array = tensor.detach().cpu().numpy()
            arrays[f"{name}.{key}"] = (
                array.copy() if copy and tensor.device.type == "cpu" else array
            )
    return arrays


def restore_optimizer(
    network: EncoderNetwork,
    optimizer: torch.optim.Optimizer,
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Undo `optimizer_arrays`.

    Raises
    ------
    CheckpointError
        If an array is missing or of another shape.
    """
    for name, weight in network.trained():
        found = {key: arrays.get(f"{name}.{key}") for key in _KEPT}
        if all(array is None for array in found.values()):
            continue  # a weight without a gradient so far
        state = {}
        for key, array in found.items():
            shape = () if key == "step" else tuple(weight.shape)
            if array is None or array.shape != shape or array.dtype != np.float32:
                raise CheckpointError(f"the optimizer's {key!r} of {name} is damaged")
            state[key] = torch.from_numpy(array.copy()).to(weight.device)
        optimizer.state[weight] = state
