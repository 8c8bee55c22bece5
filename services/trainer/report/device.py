"""What a model computes on, in words."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["device_name"]


def device_name(model: Any) -> str:
    """Return the name of the device that a model's network is on, or the processor's cores.

    Parameters
    ----------
    model : Model
        One of torch has a `network` with `parameters`; any other computes on the processor.
    """
    parameters = getattr(getattr(model, "network", None), "parameters", None)
    device = getattr(next(iter(parameters()), None), "device", None) if parameters else None
    kind = getattr(device, "type", "cpu")
    if kind == "cuda":
        # It is loaded already if something is on such a device.
        import torch

        return f"{torch.cuda.get_device_name(device)} ({device})"
    if kind != "cpu":
        return str(device)
    cores = len(os.sched_getaffinity(0))
    return f"CPU, {cores} {'core' if cores == 1 else 'cores'}"
