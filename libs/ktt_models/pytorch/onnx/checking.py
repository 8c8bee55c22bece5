"""The check of an exported encoder model; see `ktt_models.export.parity`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.parity import ParityFigures
from ktt_models.export import parity as checks
from ktt_models.export.runtime import usable_cores
from ktt_models.pytorch.onnx.folder import package_of

if TYPE_CHECKING:
    from ktt_models.pytorch.model import PyTorchModel

__all__ = ["BATCHES", "odd_texts", "parity"]

#: Alternating batch sizes, which also vary in length: sizes from tracing must not be fixed in the
#: graph.
BATCHES = (1, 7, 24)


def parity(model: PyTorchModel, folder: Path, texts: Iterable[str]) -> ParityFigures:
    """Compare an exported folder with its model on texts.

    An empty text and one that is longer than the model reads are compared, too.
    """
    odd, threads = odd_texts(model), usable_cores()
    return checks.parity(model, folder, texts, package_of(model), BATCHES, odd=odd, threads=threads)


def odd_texts(model: PyTorchModel) -> tuple[str, ...]:
    """Return an empty text, and one that is longer than the model reads."""
    return "", "a 1 " * model.config.max_len
