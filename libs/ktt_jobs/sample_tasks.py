"""Small tasks for the tests of jobs: they wait, fail, crash, fill memory or a disk, publish."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from ktt_core.errors import DataError
from ktt_core.progress import Progress
from ktt_jobs import TaskContext


def echo(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Return the spec and who ran it."""
    return {"spec": spec, "attempt": context.attempt, "pid": os.getpid()}


def steps(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Take so many steps, with a pause after each; leave a mark per attempt beside the spec's."""
    if "marks" in spec:
        marks = Path(spec["marks"])
        (marks / f"{context.job_id}.{context.attempt}.{os.getpid()}").touch()
    total = spec["steps"]
    for step in range(total + 1):
        context.progress(Progress("work", step, total, "steps", {"loss": 1 / (step + 1)}))
        time.sleep(spec.get("pause", 0.02))
    return {"steps": total, "attempt": context.attempt}


def resume(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Count to a number, keep the count at each stop, and go on from there in the next attempt."""
    kept, last = context.keep / "count", Path(spec["last"])
    begun = int(kept.read_text()) if kept.exists() else 0
    context.set_failure_hint("go on with --resume", if_there=last)
    count = begun
    try:
        with context.taking_steps():
            while count < spec["steps"]:
                time.sleep(spec.get("pause", 0.05))
                count += 1
                if count == spec.get("dies_at") and context.attempt == 1:
                    os.kill(os.getpid(), signal.SIGKILL)
                context.progress(Progress("count", count, spec["steps"]))
    finally:
        # On the way out it may tell how far it is, and takes its time.
        context.progress(Progress("keep"))
        time.sleep(spec.get("slow", 0))
        kept.write_text(str(count))
        last.write_text(str(count))
    return {"begun": begun, "count": count}


def stubborn(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Never end, and take no request to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    context.progress(Progress("stubborn"))
    while True:
        time.sleep(60)


def end(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """End the process in one of many ways."""
    print("a line before the end", flush=True)
    if "signal" in spec:
        os.kill(os.getpid(), spec["signal"])
        time.sleep(60)
    if "code" in spec:
        os._exit(spec["code"])
    if "exit" in spec:
        sys.exit(spec["exit"])
    if "error" in spec:
        raise DataError(spec["error"])
    raise KeyError("nothing to end with")


def noise(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Write many lines, then fail."""
    for line in range(spec["lines"]):
        print(f"line {line} " + "x" * 60)
    raise DataError("enough")


def publish(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Publish a file; be killed before, while or after it is moved, if asked, in an attempt."""
    finished = context.folder / "finished"
    finished.write_text(f"attempt {context.attempt}")
    target = Path(spec["target"])
    log = Path(spec["log"]) if "log" in spec else None
    dies = spec.get("dies", "") if context.attempt <= spec.get("attempts", 1) else ""
    context.progress(Progress("publish"))
    if dies == "before":
        _die(spec)
    with context.publishing({"target": str(target), "attempt": context.attempt}, outputs=target):
        if dies == "promised":
            _die(spec)
        time.sleep(spec.get("slow", 0))
        finished.rename(target)
        if log is not None:
            with log.open("a") as stream:
                stream.write(f"published in attempt {context.attempt}\n")
        if dies == "moved":
            _die(spec)
    if dies == "after":
        _die(spec)
    return {}


def _die(spec: dict[str, Any]) -> None:
    if spec.get("server"):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    os.kill(os.getpid(), signal.SIGKILL)


def fill(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Write a file of so many bytes, then publish it."""
    finished = context.folder / "finished"
    with finished.open("wb") as stream:
        for _ in range(spec["bytes"] >> 16):
            stream.write(b"x" * (1 << 16))
    target = Path(spec["target"])
    with context.publishing({"target": str(target)}, outputs=target):
        finished.rename(target)
    return {}


def hoard(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Take more memory than the process may have."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    held = [bytearray(1 << 28) for _ in range(16)]
    return {"held": len(held)}


def family(spec: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Start a process that outlives its parent if nobody ends it, and wait."""
    child = os.fork()
    if child == 0:
        time.sleep(300)
        os._exit(0)
    Path(spec["pid"]).write_text(str(child))
    time.sleep(300)
    return {}
