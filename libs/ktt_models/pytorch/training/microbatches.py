"""A process' share of a step's batch, in several parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ktt_core.model import Batch

__all__ = ["Microbatch", "cut", "microbatches", "to_tensors"]


class Microbatch(NamedTuple):
    """Rows to compute at once.

    Attributes
    ----------
    batch : Batch
    weight : float
        The part's share of the batch's mean loss, times the processes: their gradients are
        averaged.
    last : bool
        Whether it is the process' last part of the step.
    """

    batch: Batch
    weight: float
    last: bool


def microbatches(batch: Batch, rank: int, world: int, accumulate: int) -> Iterator[Microbatch]:
    """Yield the parts of a batch for process `rank` of `world`, up to `accumulate`.

    Every row is in one part of one process. Rows are sorted by length, so they are distributed in
    turn. A process without rows, at the end of an epoch, gets a row of weight 0, so that all
    processes take part in the step.
    """
    total = len(batch.codes)
    n_rows = len(range(rank, total, world))
    n_parts = min(accumulate, n_rows)
    if not n_parts:
        yield Microbatch(cut(batch, slice(0, 1)), 0.0, True)
    for number in range(n_parts):
        start, end = n_rows * number // n_parts, n_rows * (number + 1) // n_parts
        rows = slice(rank + start * world, rank + end * world, world)
        yield Microbatch(cut(batch, rows), (end - start) / total * world, number == n_parts - 1)


def cut(batch: Batch, rows: slice) -> Batch:
    """Return some rows of a batch, with minimal padding."""
    inputs = {name: array[rows] for name, array in batch.inputs.items()}
    if "attention_mask" in inputs:
        used = np.flatnonzero(inputs["attention_mask"].any(axis=0))
        width = int(used[-1]) + 1 if used.size else 1
        inputs = {name: array[:, :width] for name, array in inputs.items()}
    return Batch(inputs, batch.codes[rows])


def to_tensors(inputs: Any, device: torch.device) -> dict[str, Tensor]:
    """Return a batch's arrays on a device; the copy is asynchronous."""
    tensors = {}
    for name, array in inputs.items():
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if device.type == "cuda":
            tensor = tensor.pin_memory()
        tensors[name] = tensor.to(device, non_blocking=True)
    return tensors
