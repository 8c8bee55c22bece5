"""The process of one training run: takes a job from its command line, writes events to a pipe.

Events are lines of JSON: ``{"event": "progress" | "result" | "error", ...}``. There is no pickle
between the two processes, and the child does not import its parent's ``__main__``, so it runs the
same inside a PEX, under pytest and from a prompt.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from typing import IO, Any

from ktt_core.errors import KttError
from ktt_core.progress import Progress
from trainer.training import TrainingJob, run_training

__all__ = ["EventWriter", "main"]

# Events of one phase are at least this far apart, in seconds: a bar needs no more.
_EVENT_INTERVAL = 0.05
_PR_SET_PDEATHSIG = 1


class EventWriter:
    """Writes events to the parent, progress only as often as a person can see.

    Parameters
    ----------
    stream : text file
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._phase = ""
        self._last = 0.0

    def write(self, event: str, value: Mapping[str, Any]) -> None:
        """Write one event."""
        self._stream.write(json.dumps({"event": event, **value}) + "\n")
        self._stream.flush()

    def progress(self, progress: Progress) -> None:
        """Write a phase's first and last step, and what comes in between now and then."""
        now = time.monotonic()
        ends = progress.phase != self._phase or progress.step == progress.total
        if not ends and now - self._last < _EVENT_INTERVAL:
            return
        self._phase, self._last = progress.phase, now
        self.write(
            "progress",
            {
                "phase": progress.phase,
                "step": int(progress.step),
                "total": None if progress.total is None else int(progress.total),
                "unit": progress.unit,
                "metrics": {name: float(figure) for name, figure in progress.metrics.items()},
            },
        )


def main(request: Mapping[str, Any]) -> None:
    """Run the job of a request ``{"job": ..., "events": descriptor}`` and end the process."""
    _die_with_parent()
    with os.fdopen(request["events"], "w", encoding="utf-8") as stream:
        writer = EventWriter(stream)
        try:
            outcome = run_training(TrainingJob(**request["job"]), writer.progress)
        except Exception as error:
            writer.write("error", _describe(error))
            sys.exit(1)
        writer.write("result", outcome.to_json())


def _describe(error: Exception) -> dict[str, str]:
    if isinstance(error, KttError):
        return {"type": type(error).__name__, "message": str(error), "details": ""}
    details = traceback.format_exc()
    if isinstance(error, MemoryError):
        message = "it ran out of memory; free some, or train on fewer rows or smaller features"
    elif isinstance(error, OSError):
        message = f"the system refused: {error.strerror or error} ({error.filename or 'no file'})"
    else:
        message = f"an unexpected error, which is a bug: {type(error).__name__}: {error}"
    return {"type": "TrainingError", "message": message, "details": details}


def _die_with_parent() -> None:
    """Make sure that no run goes on unseen when the process that started it is gone."""
    if sys.platform == "linux":
        # Immediate, even while compiled code runs. It is not everywhere, hence the watch below too.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch_parent, name="parent-watch", daemon=True).start()


def _watch_parent() -> None:
    # The parent keeps its end of our standard input open and writes nothing: reading ends when it
    # is gone.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
