"""The background computation on the newest rows, at an interval, never within a request."""

from __future__ import annotations

import importlib
import logging
import os
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from .layout import Layout
from .metrics import Metrics
from .monitors import MonitorResult, run_monitor
from .settings import Settings
from .state import Snapshot, State

__all__ = ["REPORT_NAME", "Worker"]

_LOG = logging.getLogger("monitoring.worker")

#: The report's file in the state folder.
REPORT_NAME = "report.html"

_TEMPORARY_PREFIX = ".tmp-"


class Worker:
    """A thread that computes the metrics and the report.

    Parameters
    ----------
    settings : Settings
    layout : Layout
    state : State
    metrics : Metrics
    folder : Path
        Folder of the report.
    """

    def __init__(
        self, settings: Settings, layout: Layout, state: State, metrics: Metrics, folder: Path
    ) -> None:
        self._settings = settings
        self._layout = layout
        self._state = state
        self._metrics = metrics
        self._report_path = folder / REPORT_NAME
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="computation", daemon=True)

    def start(self) -> None:
        """Start the thread, which loads Evidently first; that takes seconds."""
        for left_behind in self._report_path.parent.glob(f"{_TEMPORARY_PREFIX}*"):
            left_behind.unlink(missing_ok=True)
        self._thread.start()

    def stop(self) -> None:
        """Start no further computation; a running one is not waited for."""
        self._stop.set()

    @property
    def is_alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    @property
    def is_ready(self) -> bool:
        """Whether Evidently is loaded."""
        return self._ready.is_set()

    def _run(self) -> None:
        # No telemetry of Evidently.
        os.environ["DO_NOT_TRACK"] = "1"
        # Relative to this package, whose name differs in a bundle.
        reports = importlib.import_module(f"{__package__}.reports")
        self._ready.set()
        _LOG.info("ready to compute")
        while not self._stop.is_set():
            if self._state.is_due:
                self._compute(reports)
            self._stop.wait(self._settings.calculation_period_sec)

    def _compute(self, reports: ModuleType) -> None:
        succeeded = True
        parts: dict[str, list[Any]] = {}
        now = datetime.now(UTC)
        try:
            snapshot = self._state.snapshot()
            summary: dict[str, str] = {
                "rows in the window": str(len(snapshot.window)),
                "rows of the reference": str(len(snapshot.reference)),
                f"computed on {now:%Y-%m-%d} (UTC)": f"{now:%H:%M:%S}",
            }
            self._metrics.publish_window(snapshot)
            for monitor in self._settings.monitors:
                result = self._run_one(monitor, snapshot, reports)
                if isinstance(result, Exception):
                    succeeded = False
                    summary[monitor] = "failed"
                elif result is not None:
                    summary[monitor] = _summary(result)
                    parts[monitor] = result.widgets
            _write(self._report_path, reports.render(summary, parts))
        except Exception:
            # The previous result stays shown until a computation succeeds.
            _LOG.exception("the computation failed")
            succeeded = False
        self._state.computed(succeeded)
        if succeeded:
            self._metrics.succeeded()
        else:
            self._metrics.computations.labels("failed").inc()

    def _run_one(
        self, monitor: str, snapshot: Snapshot, reports: ModuleType
    ) -> MonitorResult | None | Exception:
        """Run one monitor; its failure does not stop the others."""
        start = time.perf_counter()
        try:
            result = run_monitor(
                monitor, snapshot, self._layout, self._settings.alarm_rate, reports
            )
        except Exception as error:
            _LOG.exception("the monitor failed", extra={"monitor": monitor})
            return error
        seconds = time.perf_counter() - start
        if result is not None:
            self._metrics.duration.labels(monitor).observe(seconds)
            self._metrics.publish(monitor, result)
            _LOG.info(
                "computed",
                extra={"monitor": monitor, "ms": round(seconds * 1000), "alarm": result.alarm},
            )
        return result


def _summary(result: MonitorResult) -> str:
    if result.alarm is None:
        return "computed"
    return "ALARM" if result.alarm else "no alarm"


def _write(path: Path, page: str) -> None:
    """Write the report atomically."""
    descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(page)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
