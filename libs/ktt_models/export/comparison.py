"""Comparison of a quantized graph with the original one in size, speed and accuracy."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ktt_core.errors import DataError
from ktt_core.metrics import MetricsAccumulator
from ktt_core.model import Batch
from ktt_core.quantization import GraphFigures, QuantizationFigures
from ktt_core.taxonomy import Taxonomy
from ktt_models.export.onnx_layout import GRAPH_NAME
from ktt_models.export.runtime import TextRows, load_text_rows, open_session, usable_cores

__all__ = ["compare", "compare_graphs"]

BATCH_TEXTS = 32
# Texts for the timing of single texts, and repetitions of which the fastest counts: other processes
# use the machine, too.
_TEXTS_ALONE = 16
_TURNS = 5


def compare(
    folder: Path,
    scheme: str,
    quantized: str,
    package: Mapping[str, bytes],
    taxonomy: Taxonomy,
    rows: Iterable[Batch],
) -> QuantizationFigures:
    """Compare both graphs of a folder on rows, through the folder's own code.

    Parameters
    ----------
    package : mapping of str to bytes
        What the folder's package must hold, by the paths in it.

    The others, and the result, are those of `compare_graphs`.
    """
    folder = Path(folder).resolve()
    with load_text_rows(folder, package) as text_rows:
        return compare_graphs(folder, scheme, quantized, text_rows, taxonomy, rows)


def compare_graphs(
    folder: Path,
    scheme: str,
    quantized: str,
    text_rows: TextRows,
    taxonomy: Taxonomy,
    rows: Iterable[Batch],
) -> QuantizationFigures:
    """Compare both graphs of a folder on rows.

    Parameters
    ----------
    folder : Path
    scheme : str
        Quantization of the second graph.
    quantized : str
        The second graph's file.
    text_rows : callable
        Turns texts into the graphs' inputs.
    taxonomy : Taxonomy
    rows : iterable of Batch
        With their texts under ``"text"``. Read in blocks; timing uses the first ones.

    Raises
    ------
    DataError
        If there are no rows, or files of the folder are missing or damaged.
    """
    graphs, threads = (folder / GRAPH_NAME, folder / quantized), usable_cores()
    metrics = [MetricsAccumulator(taxonomy) for _ in graphs]
    same, read = 0, 0
    first: list[str] = []
    sessions = [open_session(graph, threads) for graph in graphs]
    for texts, codes in _parts(rows):
        first += texts[: BATCH_TEXTS - len(first)]
        feeds = text_rows(texts)
        answers = [session.run(["log_proba"], feeds)[0] for session in sessions]
        for counted, answer in zip(metrics, answers, strict=True):
            counted.update(answer, codes, None)
        best = [answer.argmax(axis=1) for answer in answers]
        same += int((best[0] == best[1]).sum())
        read += len(texts)
    if not read:
        raise DataError("there are no rows to compare the graphs on")
    speeds = _milliseconds(sessions, text_rows, first)
    figures = [
        GraphFigures(_size(graph), counted.compute()["hierarchical_f1"], *speed)
        for graph, counted, speed in zip(graphs, metrics, speeds, strict=True)
    ]
    return QuantizationFigures(
        scheme, quantized, read, same / read, BATCH_TEXTS, threads, figures[0], figures[1]
    )


def _parts(rows: Iterable[Batch]) -> Iterable[tuple[list[str], NDArray[np.int32]]]:
    for batch in rows:
        texts = list(batch.inputs["text"])
        for start in range(0, len(texts), BATCH_TEXTS):
            end = start + BATCH_TEXTS
            yield texts[start:end], batch.codes[start:end]


def _size(graph: Path) -> int:
    beside = graph.with_name(f"{graph.name}.data")
    return sum(path.stat().st_size for path in (graph, beside) if path.exists())


def _milliseconds(
    sessions: list[onnxruntime.InferenceSession], text_rows: TextRows, texts: list[str]
) -> list[tuple[float, float]]:
    """Return each session's times for a single text and per text of a batch, interleaved."""
    # Few rows are repeated to fill a batch.
    filled = (texts * BATCH_TEXTS)[:BATCH_TEXTS]
    alone = [text_rows([text]) for text in texts[:_TEXTS_ALONE]]
    batch = text_rows(filled)
    best = np.full((len(sessions), 2), np.inf)
    for _ in range(_TURNS):
        for number, session in enumerate(sessions):
            turn = (_seconds(session, alone) / len(alone), _seconds(session, [batch]) / len(filled))
            best[number] = np.minimum(best[number], turn)
    return [(float(one), float(many)) for one, many in best * 1000.0]


def _seconds(session: onnxruntime.InferenceSession, feeds: list[dict[str, Any]]) -> float:
    started = time.perf_counter()
    for feed in feeds:
        session.run(["log_proba"], feed)
    return time.perf_counter() - started
