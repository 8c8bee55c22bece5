"""One process of a distributed run, which trains its part of every batch."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import traceback
import warnings
from dataclasses import asdict
from datetime import timedelta
from functools import reduce
from pathlib import Path
from typing import IO, Any

from ktt_core.checkpoints.format import read_arrays
from ktt_core.checkpoints.record import RunRecord
from ktt_core.datasets.dataset import Dataset
from ktt_core.errors import ConflictError, KttError
from ktt_core.progress import Progress, ignore_progress
from ktt_core.subprocesses import end_with_parent, watch_parent

__all__ = ["main"]

# Other processes wait while one validates or writes to disk.
_PATIENCE = timedelta(hours=2)


class _StoppedError(BaseException):
    """The parent asked to stop at the next step."""


def main(job: dict[str, Any]) -> None:
    """Train as one of several processes, report to the parent, and end."""
    stop = threading.Event()
    # The process must not continue when its parent has ended. Any later message from the parent is
    # a request to stop.
    end_with_parent()
    watch_parent(ended=lambda: os._exit(1), told=lambda data: stop.set())
    # Of torch, about an argument that accelerate has no newer name for.
    warnings.filterwarnings("ignore", ".*broadcast_buffers", FutureWarning)
    # A terminal sends Ctrl-C to all processes; only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(job["events"], "w", encoding="utf-8") as events:
        try:
            _train(job, events, stop)
        except _StoppedError:
            pass  # its last state is written
        except Exception as error:
            if not isinstance(error, KttError):
                traceback.print_exc()
            _write(events, {"event": "error", "type": type(error).__name__, "message": str(error)})
            events.flush()
            os._exit(1)
        _write(events, {"event": "done"})
    # The interpreter's exit would wait for other processes, which may have ended.
    os._exit(0)


def _train(job: dict[str, Any], events: IO[str], stop: threading.Event) -> None:
    _join(job)
    from ktt_models.pytorch.training.run import continue_training, stored_state

    model_class = _find(job["class"])
    model_class.model_id = job["model"]
    start = Path(job["start"])
    model = model_class.from_checkpoint(start)
    state, optimizer = stored_state(model, start, *read_arrays(start, job["model"]))
    model.record = RunRecord.from_json(job["record"])
    dataset = Dataset.open(Path(job["dataset"]))
    begun_with = model.record.fingerprint
    if dataset.taxonomy != model.taxonomy or begun_with not in ("", dataset.fingerprint):
        raise ConflictError(f"the dataset {dataset.name!r} was imported again just now")
    load = model_class.get_dataloader_func()

    def tell(progress: Progress) -> None:
        _write(events, {"event": "progress", "progress": asdict(progress)})
        if stop.is_set():
            raise _StoppedError

    is_first = job["rank"] == 0
    continue_training(
        model,
        load(dataset.split("train"), model.preprocessor, model.config, shuffle=True),
        load(dataset.split("val"), model.preprocessor, model.config),
        state,
        optimizer,
        Path(job["last"]) if is_first else None,
        tell if is_first else ignore_progress,
    )


def _join(job: dict[str, Any]) -> None:
    """Join the process group before accelerate looks for it."""
    import torch

    rank, world = job["rank"], job["world"]
    for name in ("RANK", "LOCAL_RANK"):
        os.environ[name] = str(rank)
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        os.environ[name] = str(world)
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(rank)
    elif sys.platform == "linux":
        # All processes are on this machine, whose host name may not resolve.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group(
        "nccl" if gpu else "gloo",
        init_method=f"file://{job['store']}",
        rank=rank,
        world_size=world,
        timeout=_PATIENCE,
    )


def _find(name: str) -> Any:
    module, _, qualified = name.partition(":")
    return reduce(getattr, qualified.split("."), importlib.import_module(module))


def _write(events: IO[str], event: dict[str, Any]) -> None:
    events.write(json.dumps(event) + "\n")
    events.flush()
