"""The process of one attempt at a job: reads a request from its standard input, writes events.

Events are lines of JSON: ``{"event": "progress" | "result" | "error", ...}``. There is no pickle
between the two processes, and the child does not import its parent's ``__main__``, so it runs the
same inside a PEX, under pytest and from a prompt.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from ktt_core.errors import KttError, is_disk_full
from ktt_core.subprocesses import end_with_parent, watch_parent
from ktt_jobs.context import EventWriter, StoppedError, TaskContext

__all__ = ["main"]

# A job runs at low priority, so that a server stays responsive.
_NICENESS = 10

Task = Callable[[dict[str, Any], TaskContext], Mapping[str, Any]]


def main(request: Mapping[str, Any]) -> None:
    """Run the task of a request, and end the process.

    Parameters
    ----------
    request : mapping
        "task" ("package.module:function"), "spec", "job_id", "attempt", "folder" (the job's), and
        "events" and "lock", descriptors of the pipe to the parent and of the job's lock.
    """
    # The job must not continue when the process that started it is gone. Standard input carries
    # nothing after the request.
    end_with_parent()
    watch_parent(ended=_end_this_and_what_it_started)
    os.nice(_NICENESS)
    faulthandler.enable()
    # Not inherited by programs that the task starts: the lock is released when this process and its
    # forks have ended.
    for descriptor in (request["events"], request["lock"]):
        os.set_inheritable(descriptor, False)
    with os.fdopen(request["events"], "w", encoding="utf-8") as stream:
        writer = EventWriter(stream)
        folder = Path(request["folder"])
        context = TaskContext(request["job_id"], request["attempt"], folder, writer)
        try:
            _stop_on_request(context)
            _run(request["task"], request["spec"], context)
        except StoppedError:
            # So that the parent sees how it ended.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception as error:
            writer.write("error", _describe(error))
            sys.exit(1)
        # The result itself is in the file that `TaskContext.publishing` wrote.
        writer.write("result", {})


def _run(task: str, spec: dict[str, Any], context: TaskContext) -> None:
    shutil.rmtree(context.folder, ignore_errors=True)
    context.folder.mkdir(parents=True)
    context.keep.mkdir(exist_ok=True)
    module, _, name = task.partition(":")
    function: Task = getattr(importlib.import_module(module), name)
    result = function(spec, context)
    if context.published is None:
        with context.publishing(result):
            pass


def _stop_on_request(context: TaskContext) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        if context.stoppable:
            # A second signal must not interrupt the cleanup.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if context.ask_to_stop():
                raise StoppedError

    signal.signal(signal.SIGTERM, stop)


def _describe(error: Exception) -> dict[str, str]:
    if isinstance(error, KttError):
        return {"type": type(error).__name__, "message": str(error)}
    # For the job's log: standard error goes there.
    traceback.print_exc()
    if isinstance(error, MemoryError):
        return {
            "type": "ResourceExhaustedError",
            "message": "it ran out of memory; free some, or ask for less at once",
        }
    if isinstance(error, OSError):
        full = is_disk_full(error)
        where = error.filename or "no file named"
        advice = "; free some room on that disk" if full else ""
        return {
            "type": "ResourceExhaustedError" if full else "JobFailedError",
            "message": f"the system refused: {error.strerror or error} ({where}){advice}",
        }
    return {
        "type": "InternalError",
        "message": f"an unexpected error, which is a bug: {type(error).__name__}: {error} "
        "(see the job's log)",
    }


def _end_this_and_what_it_started() -> None:
    # This process leads the group of the processes that it started.
    os.killpg(os.getpgrp(), signal.SIGKILL)
