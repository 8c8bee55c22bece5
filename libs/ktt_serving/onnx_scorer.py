"""Scorer of an encoder model, by its ONNX graph."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ktt_core.errors import CheckpointError, InvalidArgumentError
from ktt_core.preprocessors.cleaning import clean_texts
from ktt_core.preprocessors.padding import pad_rows
from ktt_core.preprocessors.token_rows import TokenRows
from ktt_serving.artifact_files import DESCRIPTION_NAME, read_json, read_taxonomy
from ktt_serving.scores import Scores

__all__ = ["OnnxScorer", "groups_of_like_length", "thread_count"]

logger = logging.getLogger("ktt_serving")

GRAPH_NAME = "model.onnx"

# Overhead of a call of the graph, in tokens: below that, padding is cheaper than a second call.
_TOKENS_A_CALL = 64


class OnnxScorer:
    """A folder of the kind "onnx".

    Texts of similar length are batched, since padding costs as much as words. A quantized graph
    gets one text at a time: it quantizes by the range of the whole batch, and answers must not
    depend on other requests.

    Parameters
    ----------
    folder : Path
    gpu : bool
        Run on CUDA; without a device it runs on the CPU, and says so in the log.

    Raises
    ------
    CheckpointError
        If files are damaged or do not match.
    """

    def __init__(self, folder: Path, gpu: bool = False) -> None:
        self.taxonomy = read_taxonomy(folder)
        self._preprocessor = TokenRows(folder).preprocessor
        description = read_json(folder / DESCRIPTION_NAME)
        self._alone = "quantized" in description
        graph = folder / Path(str(description.get("graph", GRAPH_NAME))).name
        #: Called with the number of tokens read and cut of each text.
        self.on_tokens: Callable[[NDArray[np.int64], NDArray[np.int64]], None] | None = None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_count()
        options.inter_op_num_threads = 1
        # Idle threads must not spin: other workers need the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(graph), options, providers=_providers(gpu)
            )
        except Exception as error:  # its exceptions have no common base class
            raise CheckpointError(f"{graph} cannot be run: {error}") from error
        outputs = {value.name: value.shape for value in self._session.get_outputs()}
        if not {"log_proba", "features"} <= set(outputs):
            raise CheckpointError(
                f"{graph} answers with {', '.join(outputs)}; log_proba and features "
                "are needed: export the model again"
            )
        width = outputs["log_proba"][1]
        if isinstance(width, int) and width != self.taxonomy.n_leaves:
            raise CheckpointError(
                f"{graph} has {width} leaves, and hierarchy.json "
                f"{self.taxonomy.n_leaves}: they are of different models"
            )
        self._check_ids(graph)

    def _check_ids(self, graph: Path) -> None:
        """Check that the graph has an embedding for every id of the tokenizer."""
        # Ids of special tokens need not be in the vocabulary.
        special, _ = self._preprocessor.token_ids([""])
        highest = max(self._preprocessor.highest_id, self._preprocessor.pad_id, *special.tolist())
        ids = np.array([[highest]], dtype=np.int64)
        try:
            self._session.run(["log_proba"], {"input_ids": ids, "attention_mask": ids * 0 + 1})
        except Exception as error:  # as above
            raise CheckpointError(
                f"{graph} does not read the tokenizer's id {highest:,}: {error}"
            ) from error

    def __call__(self, texts: Sequence[str]) -> Scores:
        """Answer texts."""
        values, lengths, cut = self._preprocessor.counted_ids(clean_texts(texts))
        if self.on_tokens is not None:
            self.on_tokens(lengths, cut)
        starts = np.cumsum(lengths) - lengths
        groups = np.arange(len(lengths))[:, None] if self._alone else groups_of_like_length(lengths)
        parts = [(group, self._run(values, starts[group], lengths[group])) for group in groups]
        if len(parts) == 1 and np.array_equal(parts[0][0], np.arange(len(lengths))):
            return parts[0][1]
        order = np.argsort(np.concatenate([group for group, _ in parts]))
        return Scores(
            np.concatenate([scores.log_proba for _, scores in parts])[order],
            np.concatenate([scores.features for _, scores in parts])[order],
        )

    def _run(
        self, values: NDArray[np.int32], starts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> Scores:
        inputs = pad_rows(values, starts, lengths, self._preprocessor.pad_id)
        return Scores(*self._session.run(["log_proba", "features"], inputs))


def groups_of_like_length(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Partition rows into groups, each padded to its longest, with minimal total cost.

    Parameters
    ----------
    lengths : ndarray of int64, shape (n,)
        n at least 1.

    Yields
    ------
    ndarray of int64
        Rows of a group, sorted by length, or in the original order if there is one group.
    """
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order]
    # best[i] is the least cost of the first i rows; a group of rows [j, i) costs its length times
    # its rows, and one call.
    n = len(ordered)
    best, cut = np.zeros(n + 1), np.zeros(n + 1, dtype=np.int64)
    for end in range(1, n + 1):
        costs = best[:end] + ordered[end - 1] * (end - np.arange(end)) + _TOKENS_A_CALL
        cut[end] = int(costs.argmin())
        best[end] = costs[cut[end]]
    ends = [n]
    while cut[ends[-1]] > 0:
        ends.append(int(cut[ends[-1]]))
    ends.reverse()
    if len(ends) == 1:
        yield np.arange(n)
        return
    for start, end in zip([0, *ends], ends, strict=False):
        yield order[start:end]


def thread_count() -> int:
    """Return the threads a graph runs on: ``KTT_THREADS``, or a worker's share of the cores.

    Raises
    ------
    InvalidArgumentError
        If the variable is not a whole number of at least 1.
    """
    share = max(1, len(os.sched_getaffinity(0)) // _worker_count())
    value = os.environ.get("KTT_THREADS") or str(share)
    if not value.isdigit() or int(value) < 1:
        raise InvalidArgumentError(f"KTT_THREADS must be a whole number from 1, not {value!r:.40}")
    return int(value)


def _worker_count() -> int:
    # Workers are forked from the command, and so have its arguments.
    value = os.environ.get("BENTOML_GUNICORN_WORKERS", "1")
    for flag, following in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        if flag in ("-w", "--workers"):
            value = following
        elif flag.startswith("--workers="):
            value = flag.partition("=")[2]
    return max(1, int(value)) if value.isdigit() else 1


def _providers(gpu: bool) -> list[str]:
    if gpu:
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]
        logger.warning("there is no CUDA device for the model: it runs on the CPU")
    return ["CPUExecutionProvider"]
