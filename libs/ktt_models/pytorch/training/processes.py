"""The parent's side of a run with several processes."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ktt_core.checkpoints.format import write_arrays
from ktt_core.errors import KttError, TrainingError, UnsupportedError, error_class
from ktt_core.progress import Progress, ProgressCallback
from ktt_models.pytorch.input.loader import EncoderLoader
from ktt_models.pytorch.training.state import TrainingState

if TYPE_CHECKING:
    from ktt_core.model import Loader
    from ktt_models.pytorch.model import PyTorchModel

__all__ = ["shared_run"]

# The path is the parent's before anything else is imported.
_BOOTSTRAP = (
    "import sys; import json; job = json.loads(sys.stdin.buffer.raw.readline()); "
    "sys.path[:] = job['path']; from ktt_models.pytorch.training.worker import main; main(job)"
)
# Seconds to wait for errors of other processes before one is reported.
_GRACE = 1.0
_CHUNK = 1 << 16


@contextlib.contextmanager
def shared_run(
    model: PyTorchModel,
    train: Loader,
    val: Loader,
    path: Path | None,
    resume_from: Path | None,
    progress: ProgressCallback,
    world: int,
) -> Iterator[Path]:
    """Train with several processes, and yield the file of the last state.

    Parameters
    ----------
    model : PyTorchModel
        Built, with the initial weights, unless the run is resumed.
    train, val : Loader
        Loaders of splits of one dataset on disk.
    path, resume_from : Path or None
    progress : callable
        May raise to stop the run; the last state is written to `path` first.
    world : int
        Number of processes.

    Raises
    ------
    UnsupportedError
        If the rows are not on disk.
    KttError
        From the run.
    TrainingError
        If a process died.
    """
    folders = {_folder(loader) for loader in (train, val)}
    with tempfile.TemporaryDirectory(prefix="ktt-training-") as temporary:
        folder = Path(temporary)
        start = resume_from or folder / "start.safetensors"
        if resume_from is None:
            write_arrays(start, *model.snapshot(TrainingState(), {}, copy=False))
        last = path or folder / "last.safetensors"
        job = {
            "path": [str(entry) for entry in sys.path],
            "class": f"{type(model).__module__}:{type(model).__qualname__}",
            "model": model.model_id,
            "start": str(start),
            "last": str(last),
            "dataset": str(folders.pop()),
            "record": model.record.to_json(),
            "store": str(folder / "store"),
            "world": world,
        }

        def tell(event: Progress) -> None:
            # All have read it after the first step; a killed program must not leave it behind.
            if event.phase == "fit" and event.step:
                (folder / "start.safetensors").unlink(missing_ok=True)
            progress(event)

        with _Workers(job, world) as workers:
            workers.run(tell)
        yield last


def _folder(loader: Loader) -> Path:
    if not isinstance(loader, EncoderLoader):
        raise UnsupportedError(
            "several processes read their rows from a dataset on disk: give fit the loaders of "
            "get_dataloader_func(), or set processes to 1"
        )
    return loader.source.split.path.resolve().parent


class _Workers:
    """The processes of a run. They end with this process."""

    def __init__(self, job: dict[str, Any], world: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._workers: list[subprocess.Popen[bytes]] = []
        self._partial = [b""] * world
        self._errors: list[tuple[int, KttError | None]] = []
        self._done: set[int] = set()
        self._last_event = time.monotonic()
        try:
            for rank in range(world):
                self._start(job, rank)
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def _start(self, job: dict[str, Any], rank: int) -> None:
        events, end = os.pipe()
        self._selector.register(events, selectors.EVENT_READ, rank)
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOTSTRAP],
                stdin=subprocess.PIPE,
                pass_fds=[end],
            )
        finally:
            os.close(end)
        self._workers.append(process)
        self._say(rank, json.dumps({**job, "rank": rank, "events": end}))

    def __enter__(self) -> _Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._workers:
            process.kill()
        for process in self._workers:
            process.wait()
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)  # type: ignore[arg-type]
        self._selector.close()

    def run(self, progress: ProgressCallback) -> None:
        """Forward progress until all are done; if it raises, let them write their last state."""
        try:
            for event in self._events():
                progress(event)
        except KttError:
            raise
        except BaseException:
            if not self._errors:
                self._say(0, "stop")
                # It ends after its current step, and further messages are ignored.
                for _ in self._events(until=0):
                    continue
            raise

    def _events(self, until: int | None = None) -> Iterator[Progress]:
        """Yield progress until all processes are done, or one of them is."""
        world = len(self._workers)
        while len(self._done) < world and until not in self._done:
            if self._errors and (len(self._errors) == world or self._is_quiet()):
                raise self._cause()
            for key, _ in self._selector.select(timeout=0.1):
                self._last_event = time.monotonic()
                for event in self._receive(key.fd, key.data):  # type: ignore[arg-type]
                    if event["event"] == "progress":
                        yield Progress(**event["progress"])
                    elif event["event"] == "error":
                        self._errors.append((key.data, _error(event)))
                    else:
                        self._done.add(key.data)

    def _is_quiet(self) -> bool:
        return time.monotonic() - self._last_event > _GRACE

    def _receive(self, descriptor: int, rank: int) -> list[dict[str, Any]]:
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            self._selector.unregister(descriptor)
            os.close(descriptor)
            if rank not in self._done and rank not in dict(self._errors):
                self._errors.append((rank, None))
            return []
        *lines, self._partial[rank] = (self._partial[rank] + chunk).split(b"\n")
        return [json.loads(line) for line in lines]

    def _cause(self) -> KttError:
        """Return the original error, of which the others are consequences."""
        for _, error in self._errors:
            if error is not None:
                return error
        # All others fail when one dies; the first to end is the cause.
        rank, _ = self._errors[0]
        code = self._workers[rank].wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return TrainingError(
            f"process {rank + 1} of the {len(self._workers)} that share the run {how}; if the "
            "system was short of memory, lower processes or batch_size"
        )

    def _say(self, rank: int, line: str) -> None:
        stdin = self._workers[rank].stdin
        assert stdin is not None
        # It may have ended already, which the end of its events shows.
        with contextlib.suppress(BrokenPipeError):
            stdin.write(line.encode() + b"\n")
            stdin.flush()


def _error(event: dict[str, Any]) -> KttError | None:
    kind = error_class(event["type"])
    return None if kind is None else kind(event["message"])
