"""Lists of texts against single ones, and what single ones wait while lists are answered."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from serving.measure import Figures, put_load_on
from serving.processes import Server

__all__ = ["measure_lists"]

_PATH = "/predict_proba"
# Clients that send lists, and the texts of those.
_LIST_CLIENTS = 2
_SINGLE_CLIENTS = 64
_SIZES = (100, 1000)


def measure_lists(
    server: Server, texts: Sequence[str], seconds: float, rounds: int
) -> dict[str, Any]:
    """Return texts per second in lists and one by one, and the wait of one client beside lists.

    Parameters
    ----------
    server : Server
    texts : sequence of str
    seconds : float
        Of a measurement.
    rounds : int
        Turns of each.
    """
    singles = [{"text": text, "top_k": 1} for text in texts]
    lists = {size: _lists(texts, size) for size in _SIZES}
    one_by_one, alone = Figures(), Figures()
    listed = {size: Figures() for size in _SIZES}
    beside = {size: Figures() for size in _SIZES}
    for _ in range(rounds):
        one_by_one.add(*put_load_on(server, _PATH, _SINGLE_CLIENTS, seconds, singles))
        alone.add(*put_load_on(server, _PATH, 1, seconds, singles))
        for size in _SIZES:
            listed[size].add(*put_load_on(server, _PATH, _LIST_CLIENTS, seconds, lists[size]))
            with ThreadPoolExecutor() as pool:
                # Lists are there before, and after.
                longer = pool.submit(
                    put_load_on, server, _PATH, _LIST_CLIENTS, 1.5 * seconds, lists[size]
                )
                beside[size].add(*put_load_on(server, _PATH, 1, seconds, singles))
                longer.result()
    return {
        "single_texts_per_second": round(statistics.median(one_by_one.per_second), 1),
        "one_client_alone": alone.summary(),
        "lists": {
            size: {
                "texts_per_second": round(size * statistics.median(listed[size].per_second), 1),
                "times_single": _times(listed[size], one_by_one, size),
                "failures": listed[size].failures,
                "one_client_beside": beside[size].summary(),
            }
            for size in _SIZES
        },
    }


def _lists(texts: Sequence[str], size: int) -> list[Mapping[str, Any]]:
    repeated = [text for _ in range(-(-size // len(texts))) for text in texts]
    starts = range(0, max(1, len(repeated) - size + 1), size)
    return [{"texts": repeated[start : start + size], "top_k": 1} for start in starts]


def _times(lists: Figures, singles: Figures, size: int) -> float:
    turns = zip(lists.per_second, singles.per_second, strict=True)
    return round(statistics.median(size * a / b if b else float("nan") for a, b in turns), 3)
