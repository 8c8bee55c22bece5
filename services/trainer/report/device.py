"""The name of the device that a model runs on."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["device_name"]


def device_name(model: Any) -> str:
    """Return the name of the device of a model's network, or the number of processor cores.

    Parameters
    ----------
    model : Model
        PyTorch models have a `network` with `parameters`; all others run on the processor.
    """
    parameters = getattr(getattr(model, "network", None), "parameters", None)
    device = getattr(next(iter(parameters()), None), "device", None) if parameters else None
    kind = getattr(device, "type", "cpu")
    if kind == "cuda":
        # Already imported if a network is on such a device.
        import torch

        return f"{torch.cuda.get_device_name(device)} ({device})"
    if kind != "cpu":
        return str(device)
    cores = len(os.sched_getaffinity(0))
    return f"CPU, {cores} {'core' if cores == 1 else 'cores'}"
