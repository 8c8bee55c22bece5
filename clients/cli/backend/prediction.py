"""Predictions by a running exporter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from cli.backend.connection import Connection
from cli.backend.protocol import CheckpointChoice, PredictOptions
from cli.backend.rpc import call_service
from exporter.messages import answer_from_proto, decoding_to_proto
from ktt.exporter.v1 import predict_pb2
from ktt_core.errors import DataError
from ktt_core.texts import check_text

if TYPE_CHECKING:
    from ktt.exporter.v1.exporter_service_pb2_grpc import ExporterServiceStub
    from ktt_core.decoding import Prediction

__all__ = ["predict_remotely"]

# Limits per call, below those of an exporter: 1,000 texts, 8 MiB, 50,000 paths.
_MOST_TEXTS = 512
_MOST_BYTES = 1024**2
_MOST_PATHS = 10_000


def predict_remotely(
    stub: ExporterServiceStub,
    connection: Connection,
    dataset: str,
    model: str,
    texts: Iterable[str],
    options: PredictOptions,
    checkpoint: CheckpointChoice,
) -> Iterator[list[Prediction]]:
    """Return one list of predictions per text.

    A first call without texts makes the exporter check the other arguments and load the model.

    Raises
    ------
    InvalidArgumentError
        If a text cannot be classified, see `ktt_core.texts.check_text`, when its block is read.
    DataError
        If the exporter does not answer every text.
    KttError
        Other errors of the exporter.
    """

    def ask(block: list[str]) -> list[list[Prediction]]:
        response = call_service(
            stub,
            predict_pb2,
            "Predict",
            connection=connection,
            address=connection.exporter,
            dataset=dataset,
            model=model,
            texts=block,
            top_k=options.top_k,
            min_confidence=options.min_confidence,
            decoding=decoding_to_proto(options.decoding),
            label=checkpoint.label,
            run_time=checkpoint.time or "",
        )
        if len(response.answers) != len(block):
            raise DataError(
                f"{connection.exporter} gave {len(response.answers)} answers to {len(block)} texts"
            )
        return [answer_from_proto(answer) for answer in response.answers]

    ask([])
    most = max(1, min(_MOST_TEXTS, _MOST_PATHS // options.top_k))
    return _in_blocks(iter(texts), ask, options.block_rows, most)


def _in_blocks(
    texts: Iterator[str],
    ask: Callable[[list[str]], list[list[Prediction]]],
    rows: int,
    most: int,
) -> Iterator[list[Prediction]]:
    read = 0
    # A whole block is read before its answers, as in embedded mode.
    while block := list(islice(texts, rows)):
        for number, text in enumerate(block, read + 1):
            check_text(text, f"text {number}")
        read += len(block)
        for part in _parts(block, most):
            yield from ask(part)


def _parts(block: list[str], most: int) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for text in block:
        length = len(text.encode())
        if part and (len(part) == most or size + length > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(text)
        size += length
    if part:
        yield part
