"""BentoML's command with a limit at the door: ``python -m ktt_serving.launcher serve-gunicorn ./``.

A bundle's image starts so, which ends with what answers. BentoML's batching process, which all requests come to, runs without a
bundle's code; started here, it has some (`ktt_serving.batching`). ``bentoml serve-gunicorn ./``
serves the same answers without it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time

import psutil

__all__ = ["main"]


def main() -> None:
    """Run BentoML's command line."""
    # Before anything of it is imported, which reads this once.
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    import bentoml

    from ktt_serving.batching import limit_what_comes_in

    limit_what_comes_in()
    ended = threading.Event()
    threading.Thread(target=_end_with_the_workers, args=(ended,), daemon=True).start()
    try:
        bentoml.commandline_interface()
    finally:
        if ended.is_set():
            print("what answers has ended, and so does this", file=sys.stderr, flush=True)
            sys.exit(1)


def _end_with_the_workers(ended: threading.Event) -> None:
    """End this process when the one that has the workers does.

    By itself BentoML would go on batching requests, for nobody to answer.
    """
    while not (found := multiprocessing.active_children()):
        time.sleep(0.2)
    # Whoever hears of an end first takes it away: this look at it, or gunicorn, which waits for all.
    while found[0] in multiprocessing.active_children() and psutil.pid_exists(found[0].pid):
        time.sleep(0.2)
    ended.set()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
