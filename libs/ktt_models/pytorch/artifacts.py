"""What a bundle serves an encoder model from, and the check of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.errors import DataError, KttError
from ktt_core.parity import ParityFigures
from ktt_core.preprocessors.token_rows import TokenRows
from ktt_models.artifacts.layout import write_description
from ktt_models.onnx_folder.layout import GRAPH_NAME, check_hierarchy
from ktt_models.onnx_folder.parity import compare_answers
from ktt_models.onnx_folder.running import ORT_ERRORS, LogProba, open_session, usable_cores
from ktt_models.pytorch.onnx.checking import BATCHES, odd_texts
from ktt_models.pytorch.onnx.folder import write_model

if TYPE_CHECKING:
    from ktt_models.pytorch.model import PyTorchModel

__all__ = ["parity", "write_artifacts"]


def write_artifacts(model: PyTorchModel, folder: Path) -> None:
    """Write the graph of an ONNX export with its tokenizer and classes, and no code.

    Raises
    ------
    UnsupportedError
        If the model is not trained, or its network cannot be written as a graph.
    """
    outputs = write_model(model, folder)
    max_length = TokenRows(folder).preprocessor.max_length
    write_description(model, folder, "onnx", outputs["features"], max_length=max_length)


def parity(model: PyTorchModel, folder: Path, texts: Iterable[str]) -> ParityFigures:
    """Compare what `write_artifacts` wrote, read as a bundle reads it, with its model on texts.

    A text of no words and one of more than a model reads are compared too.
    """
    check_hierarchy(folder, model.taxonomy)
    try:
        rows = TokenRows(folder)
        session = open_session(folder / GRAPH_NAME, usable_cores())

        def answer(part: list[str]) -> LogProba:
            found: LogProba = session.run(["log_proba"], rows(part))[0]
            return found

        return compare_answers(model, answer, texts, BATCHES, odd_texts(model))
    except (KttError, *ORT_ERRORS) as error:
        raise DataError(f"the artifacts in {folder} do not work: {error}") from error
