"""Size, speed and quality of a quantized graph compared with the original."""

from __future__ import annotations

from dataclasses import dataclass

from ktt_core.documents import Document

__all__ = ["GraphFigures", "QuantizationFigures"]


@dataclass(frozen=True)
class GraphFigures(Document):
    """Measurements of one graph.

    Attributes
    ----------
    size_bytes : int
        Size of its files.
    hierarchical_f1 : float
        On the compared rows, in [0, 1].
    ms_alone : float
        Milliseconds for a single text, without tokenization.
    ms_batched : float
        Milliseconds per text of a full batch.
    """

    size_bytes: int
    hierarchical_f1: float
    ms_alone: float
    ms_batched: float


@dataclass(frozen=True)
class QuantizationFigures(Document):
    """A quantized graph and its original, on the same rows, texts and threads.

    Attributes
    ----------
    scheme : str
        "int8".
    path : str
        The quantized graph's file in the folder.
    rows : int
        Number of rows compared.
    top_path_agreement : float
        Share of rows, in [0, 1], with the same most probable path in both graphs.
    batch_texts : int
        Number of texts of a full batch.
    threads : int
        Number of threads used.
    original, quantized : GraphFigures
    """

    scheme: str
    path: str
    rows: int
    top_path_agreement: float
    batch_texts: int
    threads: int
    original: GraphFigures
    quantized: GraphFigures
