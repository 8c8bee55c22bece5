"""A server of sample jobs in a separate process, for tests that kill it."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from ktt_core.errors import ConflictError
from ktt_jobs.service import JobService

__all__ = ["TASKS", "eventually", "is_gone", "main"]

TASKS = {
    name: f"ktt_jobs.sample_tasks:{name}"
    for name in (
        *("echo", "end", "family", "fill", "hoard"),
        *("noise", "publish", "resume", "steps", "stubborn"),
    )
}


def eventually(condition: Callable[[], object], seconds: float = 20) -> bool:
    """Return whether a condition becomes true within some seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_gone(pid: int) -> bool:
    """Return whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def main(folder: str, workers: str = "1") -> int:
    """Serve until SIGTERM; exit with 3 if another server does."""
    logging.basicConfig(level=logging.INFO)
    ended = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, stop)
    service = JobService(Path(folder), TASKS, workers=int(workers))
    try:
        service.start()
    except ConflictError as error:
        print(error, flush=True)
        return 3
    print("ready", flush=True)
    ended.wait()
    service.stop()
    print("stopped", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
