"""Asynchronous reading of a step's metrics from the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["AsyncMetrics"]


class AsyncMetrics:
    """Metrics of steps, in order: on a GPU each is read while the next step is computed.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._lag = 1 if device.type == "cuda" else 0
        self._pending: deque[tuple[int, Tensor, torch.cuda.Event | None]] = deque()

    def push(self, step: int, *figures: Tensor) -> None:
        """Start reading the scalars of a step."""
        values = torch.stack([figure.detach().float() for figure in figures])
        if not values.is_cuda:
            self._pending.append((step, values, None))
            return
        here = torch.empty(len(figures), pin_memory=True)
        here.copy_(values, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()
        self._pending.append((step, here, copied))

    def read(self, all_of_them: bool = False) -> Iterator[tuple[int, list[float]]]:
        """Yield the steps whose metrics have arrived, or wait for all."""
        while len(self._pending) > (0 if all_of_them else self._lag):
            step, values, copied = self._pending.popleft()
            if copied is not None:
                copied.synchronize()
            yield step, values.tolist()
