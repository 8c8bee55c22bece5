"""Device, precision and processes, by Hugging Face accelerate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ktt_core.errors import UnsupportedError
from ktt_models.pytorch.config import EncoderConfig

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["answering_device", "make_accelerator", "process_count"]


def make_accelerator(config: EncoderConfig) -> Accelerator:
    """Return an accelerator for one run.

    Raises
    ------
    UnsupportedError
        If no device supports the requested precision.
    """
    # Imported here: predictions do not need it.
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from accelerate.state import AcceleratorState

    # Its state is global, and a process may train several models with different precisions.
    AcceleratorState._reset_state()
    gpu = torch.cuda.is_available()
    precision = config.precision
    if precision == "fp16" and not gpu:
        raise UnsupportedError("precision = fp16 needs a GPU, and there is none: use bf16 or fp32")
    if precision == "auto":
        precision = "bf16" if gpu and torch.cuda.is_bf16_supported(False) else "fp32"
    elif precision == "bf16" and gpu and not torch.cuda.is_bf16_supported():
        raise UnsupportedError("precision = bf16 is not supported by this GPU: use fp16 or fp32")
    return Accelerator(
        mixed_precision="no" if precision == "fp32" else precision,
        cpu=not gpu,
        # Buffers are equal in all processes: they follow from the taxonomy and the training rows.
        kwargs_handlers=[
            DistributedDataParallelKwargs(broadcast_buffers=False, gradient_as_bucket_view=True)
        ],
    )


def answering_device() -> torch.device:
    """Return the device for predictions: a GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def process_count(config: EncoderConfig) -> int:
    """Return the number of processes of a run: one per GPU, unless configured otherwise.

    Raises
    ------
    UnsupportedError
        If there are GPUs, but fewer than that.
    """
    gpus = torch.cuda.device_count()
    if config.processes is None:
        # Every part of a step has a text.
        return max(1, min(gpus, config.batch_size // config.accumulate))
    if 0 < gpus < config.processes:
        raise UnsupportedError(
            f"processes = {config.processes} needs as many GPUs, and there are {gpus}: lower it"
        )
    return config.processes
