"""Prometheus metrics of a bundle.

BentoML sets the shared folder of worker processes (``PROMETHEUS_MULTIPROC_DIR``) before it loads a
service, and so before this module imports `prometheus_client`, which reads it on import.
"""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterable

import numpy as np
import prometheus_client
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.values import ValueClass

# Creation times of series are not used, and would double the page.
prometheus_client.disable_created_metrics()

__all__ = [
    "BATCH_ROWS",
    "CONFIDENCE",
    "CONTENT_TYPE",
    "MODEL_INFO",
    "MODEL_SECONDS",
    "POSTS_FAILED",
    "ROWS",
    "ROWS_QUEUED",
    "count_answer",
    "count_characters",
    "count_tokens",
    "expect_answers",
    "expect_characters",
    "expect_tokens",
    "is_shared",
    "shared_registry",
]

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

# From half a millisecond (a tf-idf model) to half a minute (an overloaded encoder).
_SECONDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0
)  # fmt: skip

REQUESTS = Counter(
    "ktt_requests_total", "Requests answered, by API and HTTP status.", ["endpoint", "code"]
)
REQUEST_SECONDS = Histogram(
    "ktt_request_duration_seconds",
    "Time from a request's arrival to its answer.",
    ["endpoint"],
    buckets=_SECONDS,
)
BATCH_ROWS = Histogram(
    "ktt_batch_rows",
    "Texts a call of the model.",
    ["endpoint"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
MODEL_SECONDS = Histogram(
    "ktt_model_duration_seconds", "Time of one call of the model.", buckets=_SECONDS
)
CONFIDENCE = Histogram(
    "ktt_confidence",
    "Probability of the most probable path of each text.",
    buckets=tuple(tenth / 10 for tenth in range(1, 11)),
)
TEXTS = Counter(
    "ktt_texts_total",
    "Texts, by whether they were longer than the model reads and so were cut.",
    ["cut"],
)
TOKENS = Counter(
    "ktt_tokens_total",
    "Tokens of the texts, by whether they were cut; of very long texts an estimate.",
    ["cut"],
)
CHARACTERS = Counter(
    "ktt_characters_total", "Characters of the texts, by whether they were cut.", ["cut"]
)
ROWS = Counter(
    "ktt_monitor_rows_total",
    "Rows for the monitoring service, by what became of them.",
    ["outcome"],
)
ROWS_QUEUED = Gauge(
    "ktt_monitor_rows_queued",
    "Rows that wait to be sent to the monitoring service.",
    multiprocess_mode="livesum",
)
POSTS_FAILED = Counter(
    "ktt_monitor_posts_failed_total", "Posts that the monitoring service did not take."
)
MODEL_INFO = Gauge(
    "ktt_model_info",
    "1; its labels say which model answers.",
    ["model", "dataset", "version"],
    multiprocess_mode="max",
)

# Series that may stay zero for long are created at the start: alerts on missing series never fire.
for _outcome in ("sent", "dropped"):
    ROWS.labels(_outcome)


def count_answer(endpoint: str, code: int, started: float | None) -> None:
    """Count one answer.

    Parameters
    ----------
    endpoint : str
    code : int
        HTTP status.
    started : float, optional
        Arrival of its request, by `time.perf_counter`.
    """
    REQUESTS.labels(endpoint, str(code)).inc()
    if started is not None:
        REQUEST_SECONDS.labels(endpoint).observe(time.perf_counter() - started)


def count_tokens(read: NDArray[np.int64], cut: NDArray[np.int64]) -> None:
    """Count texts and their tokens: those that the model reads, and those that are cut.

    Parameters
    ----------
    read, cut : ndarray of int64, shape (n,)
    """
    _count_cut(TOKENS, read, cut)


def count_characters(read: NDArray[np.int64], cut: NDArray[np.int64]) -> None:
    """Count texts by their characters, as `count_tokens` does by tokens."""
    _count_cut(CHARACTERS, read, cut)


def _count_cut(units: Counter, read: NDArray[np.int64], cut: NDArray[np.int64]) -> None:
    n_cut = int(np.count_nonzero(cut))
    TEXTS.labels("no").inc(len(read) - n_cut)
    units.labels("no").inc(int(read.sum()))
    if n_cut:
        TEXTS.labels("yes").inc(n_cut)
        units.labels("yes").inc(int(cut.sum()))


def expect_tokens() -> None:
    """Show the counts of a model that cuts texts after some tokens from the start, as zeros."""
    _expect_cut(TOKENS)


def expect_characters() -> None:
    """Show the counts of a model that cuts texts after some characters, as `expect_tokens` does."""
    _expect_cut(CHARACTERS)


def _expect_cut(units: Counter) -> None:
    for cut in ("no", "yes"):
        TEXTS.labels(cut)
        units.labels(cut)


def expect_answers(endpoint: str) -> None:
    """Create an API's counters, as zeros."""
    for code in ("200", "400", "500"):
        REQUESTS.labels(endpoint, code)
    REQUEST_SECONDS.labels(endpoint)
    BATCH_ROWS.labels(endpoint)


def is_shared() -> bool:
    """Say whether worker processes share what they count."""
    # prometheus_client decides this once, on import.
    return bool(ValueClass._multiprocess)


def shared_registry() -> CollectorRegistry:
    """Return a registry of the metrics of all worker processes, including ended ones.

    A killed worker could not remove its gauges (its queued rows), so they are removed here.
    """
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
    for path in glob.glob(os.path.join(glob.escape(folder), "gauge_live*_*.db")):
        number = path[:-3].rpartition("_")[2]
        if number.isdigit() and not os.path.exists(f"/proc/{number}") and os.path.isdir("/proc"):
            mark_process_dead(int(number), folder)
    registry = CollectorRegistry()
    # It reads samples without a registry of its own, which its base leaves out of its types.
    registry.register(_Collector(None, folder))  # type: ignore[arg-type]
    return registry


class _Collector(MultiProcessCollector):
    """Reads files of counts, but not those that a process has only just made."""

    def collect(self) -> Iterable[Metric]:
        """Return what is counted in them."""
        files = glob.glob(os.path.join(glob.escape(self._path), "*.db"))
        return self.merge([file for file in files if _size(file)], accumulate=True)


def _size(file: str) -> int:
    try:
        return os.path.getsize(file)
    except FileNotFoundError:
        return 0  # of a process that has ended meanwhile
