"""BentoML's command with batches of our own: ``python -m ktt_serving.launcher serve-gunicorn ./``.

A bundle's image starts so. BentoML's batching process, which all requests come to, runs without a
bundle's code; started here, it has some (`ktt_serving.batching`). And the command ends when what
answers has ended. ``bentoml serve-gunicorn ./`` gives the same answers without it.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import time
from typing import Any

import psutil

__all__ = ["main"]


def main() -> None:
    """Run BentoML's command line."""
    # Before anything of it is imported, which reads this once.
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    import bentoml

    from ktt_serving.batching import tune_batching_process

    tune_batching_process()
    _end_workers_at_once()
    ended = threading.Event()
    threading.Thread(target=_end_with_the_workers, args=(ended,), daemon=True).start()
    try:
        bentoml.commandline_interface()
    finally:
        if ended.is_set():
            print("what answers has ended, and so does this", file=sys.stderr, flush=True)
            sys.exit(1)


def _end_workers_at_once() -> None:
    """Have worker processes end where their work does.

    They are forked in the middle of BentoML's command, and by themselves go on to its end: the one
    that makes batches stops those that answer, and may spin until it is killed.
    """
    from bentoml.server import gunicorn_config

    clean_up = gunicorn_config.worker_exit

    def worker_exit(server: Any, worker: Any) -> None:
        clean_up(server, worker)
        # One that could not start tells gunicorn so by its exit code.
        if worker.booted:
            multiprocessing.util._run_finalizers()  # type: ignore[attr-defined]
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    gunicorn_config.worker_exit = worker_exit


def _end_with_the_workers(ended: threading.Event) -> None:
    """End this process when the one that has the workers does.

    By itself BentoML would go on batching requests, for nobody to answer.
    """
    while not (found := multiprocessing.active_children()):
        time.sleep(0.2)
    # Who hears of an end first takes it away: this look at it, or gunicorn, which waits for all.
    while found[0] in multiprocessing.active_children() and psutil.pid_exists(found[0].pid):
        time.sleep(0.2)
    if found[0].exitcode == 0:
        return  # as it was told to
    ended.set()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
