"""Conversion of a network's weights to a checkpoint's arrays and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ktt_core.errors import CheckpointError

__all__ = ["load_arrays", "module_arrays"]

Arrays = dict[str, NDArray[Any]]


def module_arrays(module: nn.Module, copy: bool) -> Arrays:
    """Return all weights and lasting buffers of a module.

    Parameters
    ----------
    module : nn.Module
    copy : bool
        Whether to copy the arrays.
    """
    arrays = {}
    for name, tensor in module.state_dict().items():
        array = tensor.detach().cpu().numpy()
        arrays[name] = array.copy() if copy and tensor.device.type == "cpu" else array
    return arrays


def load_arrays(
    module: nn.Module, arrays: Mapping[str, NDArray[Any]], only: Iterable[str] | None = None
) -> None:
    """Set a module's weights and lasting buffers.

    Parameters
    ----------
    module : nn.Module
    arrays : mapping of str to ndarray
    only : iterable of str, optional
        The names of those to set; default: all.

    Raises
    ------
    CheckpointError
        If one is missing, unknown, or has another shape or type.
    """
    tensors = module.state_dict()
    wanted = set(tensors if only is None else only)
    problems = [f"{name} is missing" for name in sorted(wanted - arrays.keys())]
    problems += [f"{name} is not of this model" for name in sorted(arrays.keys() - wanted)]
    for name in sorted(wanted & arrays.keys()):
        found, shape = arrays[name], tuple(tensors[name].shape)
        kind = np.dtype(str(tensors[name].dtype).removeprefix("torch."))
        if found.shape != shape:
            problems.append(f"{name} has the shape {found.shape} instead of {shape}")
        elif found.dtype != kind:
            problems.append(f"{name} is of type {found.dtype} instead of {kind}")
    if problems:
        more = f", and {len(problems) - 1} more like it" if len(problems) > 1 else ""
        raise CheckpointError(f"its weights do not fit: {problems[0]}{more}")
    with torch.no_grad():
        for name in wanted:
            # The file is mapped read-only, and torch has no read-only tensors.
            tensors[name].copy_(torch.from_numpy(arrays[name].copy()))
