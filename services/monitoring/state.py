"""The monitor's state: the window, the reference, and the labels."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from numpy.typing import NDArray

from .reference import Reference
from .rows import Feedback, Rows
from .settings import Settings
from .store import Store
from .window import Window

__all__ = ["Accepted", "Joined", "Snapshot", "State"]

_LOG = logging.getLogger("monitoring.state")
# Rows that wait for their label are on disk, with all their scores where a monitor needs them.
_MOST_PENDING_BYTES = 256 * 1024**2


@dataclass(frozen=True)
class Accepted:
    """Counts of posted rows: new, sent before, and those whose label had arrived earlier."""

    rows: int
    repeated: int
    joined: int


@dataclass(frozen=True)
class Joined:
    """Counts of posted labels: those whose row was found, and those that wait for it."""

    joined: int
    unknown: int


@dataclass(frozen=True)
class Snapshot:
    """Input of one computation; all rows oldest first.

    Parameters
    ----------
    window, reference : ndarray of the layout's `window_dtype`
        The newest rows, and the rows they are compared with.
    labelled : ndarray of the layout's `dtype`
        The newest rows with a known label.
    """

    window: NDArray
    labelled: NDArray
    reference: NDArray


class State:
    """Rows and labels, written to disk first and then to memory.

    Parameters
    ----------
    settings : Settings
    reference : Reference
    store : Store
    clock : callable
        A monotonic clock, in seconds.
    """

    def __init__(
        self,
        settings: Settings,
        reference: Reference,
        store: Store,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._layout = reference.layout
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        size = settings.window_size
        row_bytes = max(1, self._layout.dtype.itemsize)
        self._keep_pending = min(
            settings.feedback_size, max(size, _MOST_PENDING_BYTES // row_bytes)
        )
        self._window = Window(size, self._layout.window_dtype)
        self._reference = Window(len(reference.rows), self._layout.window_dtype)
        self._reference.push(reference.rows)
        if settings.moving_reference:
            self._reference.push(store.moved())
        self._collected = self._restore(reference)
        # Whether rows or labels arrived since the last snapshot, and since when rows wait for one.
        self._changed = True
        self._waiting_since: float | None = None
        self._computing_since: float | None = None

    def _restore(self, reference: Reference) -> int:
        """Fill the window, at the first start from the reference; return `collected`."""
        size = self._settings.window_size
        if self._store.get("collected") is None:
            seeds = reference.rows[-size:] if self._settings.use_reference else reference.rows[:0]
            with self._store.transaction():
                self._store.add_rows(seeds, size)
                self._store.put("collected", str(len(seeds)))
        self._window.push(self._store.rows())
        _LOG.info("the window holds %d rows", len(self._window))
        return int(self._store.get("collected") or 0)

    @property
    def window_rows(self) -> int:
        """Rows in the window."""
        return len(self._window)

    @property
    def reference_rows(self) -> int:
        """Rows in the reference."""
        return len(self._reference)

    @property
    def is_due(self) -> bool:
        """Whether enough rows are collected, and rows or labels arrived since the last snapshot."""
        return self._changed and self._is_full

    @property
    def _is_full(self) -> bool:
        return (
            self._collected >= self._settings.min_reference_size
            and len(self._window) >= self._settings.window_size
        )

    @property
    def lag_seconds(self) -> float:
        """Age of the oldest row that no computation has seen; 0 if none, or none is due yet."""
        since = [t for t in (self._waiting_since, self._computing_since) if t is not None]
        if not since or not self._is_full:
            return 0.0
        return max(0.0, self._clock() - min(since))

    def add(self, rows: Rows) -> Accepted:
        """Add rows to the window; repeated ones (same id and content) are ignored.

        Raises
        ------
        StateError
            If they cannot be stored; then nothing is changed.
        """
        with self._lock:
            with self._store.transaction():
                fresh = self._fresh(rows)
                records = rows.records[fresh]
                joined = self._sort_by_label(records, [rows.ids[place] for place in fresh])
                added = self._layout.window_rows(records)
                self._store.add_rows(added, self._settings.window_size)
                gone = self._window.leaving(added)
                # Rows that the window started with are in the reference already.
                gone = gone[~gone["seeded"]] if self._settings.moving_reference else gone[:0]
                if len(gone):
                    self._store.add_moved(gone, self._reference.size)
                collected = self._collected
                if collected < self._settings.min_reference_size:
                    collected += len(added)
                    self._store.put("collected", str(collected))
            self._window.push(added)
            self._reference.push(gone)
            self._collected = collected
            if len(added):
                self._changed = True
                if self._waiting_since is None:
                    self._waiting_since = self._clock()
        return Accepted(len(added), len(rows.records) - len(added), joined)

    def join(self, feedback: Feedback) -> Joined:
        """Assign labels to their rows; a label whose row has not arrived is kept for it.

        Raises
        ------
        StateError
            If they cannot be stored; then nothing is changed.
        """
        # Of labels for one row the last counts.
        labels = dict(zip(feedback.ids, feedback.labels, strict=True))
        with self._lock:
            with self._store.transaction():
                found = self._join(labels)
            joined = sum(row_id in found for row_id in feedback.ids)
            self._changed = self._changed or joined > 0
        return Joined(joined, len(feedback.ids) - joined)

    def snapshot(self) -> Snapshot:
        """Take the input of a computation; call `computed` at its end."""
        with self._lock:
            self._changed = False
            self._computing_since, self._waiting_since = self._waiting_since, None
            return Snapshot(self._window.rows(), self._store.labelled(), self._reference.rows())

    def computed(self, succeeded: bool) -> None:
        """Record how the computation on the last snapshot ended."""
        with self._lock:
            if not succeeded:
                self._changed = True
                self._waiting_since = self._computing_since or self._waiting_since
            self._computing_since = None

    def close(self) -> None:
        """Close the store, after any write that is in progress."""
        with self._lock:
            self._store.close()

    def _fresh(self, rows: Rows) -> list[int]:
        """Positions of the rows that were not sent before: a new id, or other numbers."""
        fresh: list[int] = []
        stored = self._store.known([row_id for row_id in rows.ids if row_id is not None])
        known = {row_id: self._identity(record) for row_id, record in stored.items()}
        for place, row_id in enumerate(rows.ids):
            if row_id is not None:
                own = self._identity(rows.records[place : place + 1])
                if known.get(row_id) == own:
                    continue
                known[row_id] = own
            fresh.append(place)
        return fresh

    def _identity(self, record: NDArray) -> bytes:
        """Give the bytes of a row without its label."""
        return b"".join(record[name].tobytes() for name in ("drift", "predicted", "scores"))

    def _sort_by_label(self, records: NDArray, ids: list[str | None]) -> int:
        """Store rows as labelled or as waiting; return how many found an earlier label."""
        labelled: list[tuple[str | None, bytes]] = []
        pending: dict[str, bytes] = {}
        joined = 0
        early = self._store.take_early([row_id for row_id in ids if row_id is not None])
        for place, row_id in enumerate(ids):
            record = records[place : place + 1]
            if row_id is not None:
                label = early.pop(row_id, None)
                if label is not None and math.isnan(record["label"][0]):
                    record["label"] = label
                    self._layout.set_losses(record)
                    joined += 1
            if not math.isnan(record["label"][0]):
                labelled.append((row_id, record.tobytes()))
            elif row_id is not None:
                pending[row_id] = record.tobytes()
        if labelled:
            self._store.add_labelled(labelled, self._settings.window_size)
        if pending:
            self._store.add_pending(list(pending.items()), self._keep_pending)
        return joined

    def _join(self, labels: Mapping[str, float]) -> set[str]:
        """Assign labels by the id of their row; return the ids whose row was found."""
        ids = list(labels)
        waiting = self._store.take_pending(ids)
        known = self._store.known([row_id for row_id in ids if row_id not in waiting])
        for row_id, record in (waiting | known).items():
            record["label"] = labels[row_id]
            self._layout.set_losses(record)
        if waiting:
            # In the order of the request, of which the newest stay.
            added = [(row_id, waiting[row_id].tobytes()) for row_id in ids if row_id in waiting]
            self._store.add_labelled(added, self._settings.window_size)
        self._store.correct([(row_id, record.tobytes()) for row_id, record in known.items()])
        found = waiting.keys() | known.keys()
        early = [(row_id, label) for row_id, label in labels.items() if row_id not in found]
        if early:
            self._store.add_early(early, self._settings.feedback_size)
        return found
