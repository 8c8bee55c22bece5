"""Errors of training steps, with advice."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import torch

from ktt_core.errors import ResourceExhaustedError, TrainingError
from ktt_models.pytorch.config import EncoderConfig

__all__ = ["check_loss", "divergence", "memory_errors"]

# Messages of CPU allocators and of older devices.
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "DefaultCPUAllocator")


@contextlib.contextmanager
def memory_errors(config: EncoderConfig, training: bool) -> Iterator[None]:
    """Convert out-of-memory errors to one that names the settings to lower.

    Raises
    ------
    ResourceExhaustedError
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if isinstance(error, RuntimeError) and not _is_about_memory(error):
            raise
        if training:
            advice = (
                f"lower batch_size ({config.batch_size}) or max_len ({config.max_len}), or raise "
                f"accumulate ({config.accumulate}), which computes a step in more parts"
            )
        else:
            advice = (
                f"lower eval_batch_size ({config.eval_batch_size}) or max_len ({config.max_len})"
            )
        raise ResourceExhaustedError(f"there is not enough memory for a batch: {advice}") from error


def _is_about_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in _NO_MEMORY
    )


def check_loss(
    loss: float, norm: float, step: int, total: int, config: EncoderConfig, kept: Path | None
) -> None:
    """Stop a run whose loss or gradients are not finite.

    Parameters
    ----------
    loss, norm : float
        Of the step: its loss, and the norm of its gradient before clipping.
    step, total : int
        The step, from 1, and the number of steps.
    config : EncoderConfig
    kept : Path or None
        The checkpoint before it, if there is one.

    Raises
    ------
    TrainingError
        See `divergence`.
    """
    if not math.isfinite(loss):
        raise divergence(f"the loss is {loss}", step, total, config, kept)
    # Scaled gradients overflow occasionally; such steps are skipped, and the scale is lowered.
    if not math.isfinite(norm) and config.precision != "fp16":
        raise divergence(f"the gradient's norm is {norm}", step, total, config, kept)


def divergence(
    what: str, step: int, total: int, config: EncoderConfig, kept: Path | None
) -> TrainingError:
    """Return an error with the step, the likely cause, and the last checkpoint."""
    rates = f"encoder_lr ({config.encoder_lr:g}) and classifier_lr ({config.classifier_lr:g})"
    if config.precision == "fp16":
        cause = "numbers beyond fp16's range: set precision to bf16 or fp32"
    elif step == 1:
        cause = "an encoder whose weights are damaged: nothing had been learned yet"
    elif config.clip_norm is None:
        cause = f"learning rates that are too high: lower {rates}, or set clip_norm"
    else:
        cause = f"learning rates that are too high: lower {rates}, or lengthen warmup"
    left = f"; the checkpoint before it is kept: {kept}" if kept is not None else ""
    return TrainingError(
        f"training diverged at step {step} of {total}: {what}. Likely cause: {cause}{left}"
    )
