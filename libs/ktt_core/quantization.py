"""What quantizing an exported graph gains and costs."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GraphFigures", "QuantizationFigures"]


@dataclass(frozen=True)
class GraphFigures:
    """One graph, measured.

    Attributes
    ----------
    size_bytes : int
        Of its files.
    hierarchical_f1 : float
        On the rows compared, in [0, 1].
    ms_alone : float
        Milliseconds for a text that comes alone, tokenizing not counted.
    ms_batched : float
        Milliseconds for each text of a full batch.
    """

    size_bytes: int
    hierarchical_f1: float
    ms_alone: float
    ms_batched: float


@dataclass(frozen=True)
class QuantizationFigures:
    """A quantized graph beside the one it was made of, on the same rows, texts and threads.

    Attributes
    ----------
    scheme : str
        "int8".
    path : str
        The quantized graph's file in the folder.
    rows : int
        The rows compared.
    top_path_agreement : float
        The share of them, in [0, 1], on which both graphs have the same most probable path.
    batch_texts : int
        Texts of a full batch.
    threads : int
        That answered.
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
