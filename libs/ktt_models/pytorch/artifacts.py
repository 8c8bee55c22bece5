"""Artifacts from which a bundle serves an encoder model, and their check."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ktt_core.errors import DataError, KttError
from ktt_core.labels import Labels
from ktt_core.model import Batch
from ktt_core.parity import ParityFigures
from ktt_core.preprocessors.token_rows import TokenRows
from ktt_core.quantization import QuantizationFigures
from ktt_core.reference import reference_table
from ktt_models.export.artifacts_layout import MODEL_NAME, write_description
from ktt_models.export.comparison import compare_graphs
from ktt_models.export.onnx_layout import EXTERNAL_DATA, GRAPH_NAME, check_hierarchy
from ktt_models.export.parity import compare_answers
from ktt_models.export.runtime import ORT_ERRORS, Answers, open_session, usable_cores
from ktt_models.pytorch.onnx.checking import BATCHES, odd_texts
from ktt_models.pytorch.onnx.folder import write_model
from ktt_models.pytorch.onnx.quantizing import QUANTIZED_NAME, quantize

if TYPE_CHECKING:
    import pyarrow as pa

    from ktt_models.pytorch.model import PyTorchModel

__all__ = ["parity", "quantize_artifacts", "reference_set", "write_artifacts"]


def write_artifacts(model: PyTorchModel, folder: Path) -> None:
    """Write the graph of an ONNX export with its tokenizer and classes, without code.

    Raises
    ------
    UnsupportedError
        If the model is not trained, or its network cannot be written as a graph.
    """
    outputs = write_model(model, folder)
    max_length = TokenRows(folder).preprocessor.max_length
    titles = [f"encoder feature {number}" for number in range(outputs["features"])]
    write_description(model, folder, "onnx", titles, max_length=max_length)


def parity(model: PyTorchModel, folder: Path, texts: Iterable[str]) -> ParityFigures:
    """Compare artifacts, read as a bundle reads them, with their model on texts.

    An empty text and one that is longer than the model reads are compared, too.
    """
    check_hierarchy(folder, model.taxonomy)
    with _answering(folder, GRAPH_NAME) as answer:
        return compare_answers(model, answer, texts, BATCHES, odd_texts(model))


def quantize_artifacts(
    model: PyTorchModel, folder: Path, rows: Iterable[Batch]
) -> QuantizationFigures:
    """Replace a folder's graph by a quantized one (8-bit integers), and measure both.

    The description marks it for batches of one text: activations are quantized over the range of
    the whole batch, and answers must not depend on other requests.
    """
    quantize(folder)
    figures = compare_graphs(
        folder, "int8", QUANTIZED_NAME, TokenRows(folder), model.taxonomy, rows
    )
    for name in (GRAPH_NAME, EXTERNAL_DATA):
        (folder / name).unlink(missing_ok=True)
    file = folder / MODEL_NAME
    description = json.loads(file.read_text(encoding="utf-8"))
    description |= {"graph": QUANTIZED_NAME, "quantized": "int8"}
    text = json.dumps(description, ensure_ascii=False, indent=2)
    file.write_text(text + "\n", encoding="utf-8")
    return figures


def reference_set(model: PyTorchModel, folder: Path, rows: Iterable[Batch]) -> pa.Table:
    """Return the reference set as the folder's graph answers, text by text.

    Raises
    ------
    DataError
        If there are no rows, or files of the folder are missing or damaged.
    """
    graph = json.loads((folder / MODEL_NAME).read_text(encoding="utf-8")).get("graph", GRAPH_NAME)
    labels, features, proba = [], [], []
    with _answering(folder, graph) as answer:
        for batch in rows:
            for text in batch.inputs["text"]:
                found = answer([text])
                features.append(found.features)
                proba.append(np.exp(found.log_proba))
            labels.append(batch.labels)
    if not proba:
        raise DataError("a reference set needs rows, and this split has none")
    return reference_table(
        model.taxonomy,
        Labels.concatenate(labels),
        np.concatenate([part for part in features if part is not None]),
        np.concatenate(proba),
    )


@contextlib.contextmanager
def _answering(folder: Path, graph: str) -> Iterator[Callable[[list[str]], Answers]]:
    """Give what answers texts with a graph; what goes wrong in the body becomes a DataError."""
    try:
        rows = TokenRows(folder)
        session = open_session(folder / graph, usable_cores())

        def answer(part: list[str]) -> Answers:
            return Answers(*session.run(["log_proba", "features"], rows(part)))

        yield answer
    except (KttError, *ORT_ERRORS) as error:
        raise DataError(f"the artifacts in {folder} do not work: {error}") from error
