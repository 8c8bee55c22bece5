"""Durable jobs: a store, a queue, and workers in processes of their own.

A job is `QUEUED`, then `RUNNING`, then `SUCCEEDED`, `FAILED` or `CANCELLED`. `JobService` keeps
jobs in a SQLite file, runs each in a process of its own, and brings them to an end even if that
process, or the service's own, is killed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ktt_jobs.context import StoppedError, TaskContext
    from ktt_jobs.jobs import Job, JobError, JobEvent, JobState, RunPolicy
    from ktt_jobs.service import JobService

__all__ = [
    "Job",
    "JobError",
    "JobEvent",
    "JobService",
    "JobState",
    "RunPolicy",
    "StoppedError",
    "TaskContext",
]

_MODULES = {"JobService": "service", "StoppedError": "context", "TaskContext": "context"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"ktt_jobs.{_MODULES.get(name, 'jobs')}"), name)
