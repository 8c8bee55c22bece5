"""Trainers in processes of their own, and a file to import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status

from ktt.trainer.v1 import datasets_pb2, training_pb2
from ktt.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub
from ktt_core.datasets.options import ImportOptions
from ktt_rpc.channel import ClientSettings, open_channel
from trainer import Trainer

# By name and with this process's path, as a worker is started.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from trainer.main import main; main()"
)
_PATIENCE = 60.0


class TrainerProcess:
    """A trainer in a process of its own.

    Parameters
    ----------
    workspace : Path
    log : Path
        Where its log goes.
    arguments : str
        More of its command line.
    """

    def __init__(self, workspace: Path, log: Path, *arguments: str) -> None:
        self.workspace = workspace
        self.log = log
        command = ["--workspace", str(workspace), "--port", "0", "--no-metrics", *arguments]
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, json.dumps(sys.path), *command],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        self.address = self._address()
        self.channel = open_channel(ClientSettings(self.address))
        self.calls = TrainerServiceStub(self.channel)

    def _address(self) -> str:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            for line in self.lines():
                words = line.get("message", "").split()
                if words[:2] == ["listening", "on"]:
                    return str(words[2])
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"the trainer did not start:\n{self.log.read_text()}")

    def lines(self) -> list[dict[str, Any]]:
        """Return the log's lines."""
        found = self.log.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in found if line.startswith(b"{")]

    def kill(self) -> None:
        """End it as the system does when memory runs out."""
        self.channel.close()
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """Ask it to end; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(_PATIENCE)
        self.channel.close()
        return code

    def train(self, **spec: Any) -> str:
        """Make a training job of a short run on "shop", and return its id."""
        hyperparameters = {"epochs": 1, "n_jobs": 1, **spec.pop("hyperparameters", {})}
        wanted = training_pb2.TrainingSpec(dataset="shop", model="tfidf_hsgd", **spec)
        wanted.hyperparameters.update(hyperparameters)
        request = training_pb2.CreateTrainingJobRequest(spec=wanted)
        return str(self.calls.CreateTrainingJob(request).training_job.id)

    def job(self, job_id: str) -> training_pb2.TrainingJob:
        """Return a training job."""
        request = training_pb2.GetTrainingJobRequest(id=job_id)
        return self.calls.GetTrainingJob(request).training_job

    def events(self, job_id: str, after: int = 0) -> Iterator[Any]:
        """Yield a training job's events."""
        request = training_pb2.WatchTrainingJobRequest(id=job_id, after_event=after)
        for response in self.calls.WatchTrainingJob(request):
            yield response.event

    def wait_until_it_fits(self, job_id: str) -> None:
        """Return when a job is in the midst of its work."""
        for event in self.events(job_id):
            if event.progress.phase == "fit" and event.progress.step:
                return
        raise AssertionError(f"it ended before: {self.job(job_id)}")

    def upload(self, data: bytes, sha256: str, name: str = "shop.csv") -> str:
        """Upload a file whole, and return its id."""
        request = datasets_pb2.CreateUploadRequest(
            file_name=name, size_bytes=len(data), sha256=sha256
        )
        upload = self.calls.CreateUpload(request).upload
        self.calls.WriteUpload(iter(written(upload.id, 0, data)))
        return str(upload.id)


def written(upload_id: str, offset: int, *chunks: bytes) -> list[datasets_pb2.WriteUploadRequest]:
    """Return the messages of a WriteUpload call."""
    start = datasets_pb2.UploadStart(upload_id=upload_id, offset=offset)
    return [
        datasets_pb2.WriteUploadRequest(start=start),
        *(datasets_pb2.WriteUploadRequest(chunk=chunk) for chunk in chunks),
    ]


def rows(count: int) -> str:
    """Return a CSV file of labelled texts."""
    paths = {"shoe": "Sport > Shoes", "ball": "Sport > Balls", "drum": "Music > Drums"}
    words = list(paths)
    lines = [f"a {words[row % 3]} no {row // 3},{paths[words[row % 3]]}" for row in range(count)]
    return "\n".join(["title,category", *lines]) + "\n"


def import_shop(workspace: Path, name: str = "shop", count: int = 300) -> None:
    """Make a dataset in a workspace."""
    source = workspace.parent / f"{name}.csv"
    source.write_text(rows(count))
    Trainer(workspace).import_dataset(source, name, ImportOptions("title", "category", sep=" > "))


def code_of(call: Callable[[], Any]) -> grpc.StatusCode:
    """Return the status that a call ends with."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def refusal(
    call: Callable[..., Any], *arguments: Any, **keywords: Any
) -> tuple[grpc.StatusCode, list[str]]:
    """Return the code and the fields at fault of a call that is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **keywords)
    status: Any = rpc_status.from_call(caught.value)
    assert status is not None and "Traceback" not in status.message
    fields = []
    for detail in status.details:
        request = BadRequest()
        if detail.Unpack(request):
            fields += [violation.field for violation in request.field_violations]
    return caught.value.code(), fields


def create_dataset(server: TrainerProcess, **request: Any) -> Any:
    """Make a dataset and return the last message."""
    options = datasets_pb2.ImportOptions(text="title", classes="category", sep=" > ")
    wanted = datasets_pb2.CreateDatasetRequest(options=options, **request)
    return list(server.calls.CreateDataset(wanted))[-1]


Start = Callable[..., TrainerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a trainer on the test's workspace, with the dataset "shop"."""
    started: list[TrainerProcess] = []
    workspace = tmp_path / "workspace"

    def begin(*arguments: str) -> TrainerProcess:
        if not (workspace / "datasets/shop").exists():
            import_shop(workspace, count=3000)
        log = tmp_path / f"log{len(started)}.txt"
        started.append(TrainerProcess(workspace, log, *arguments))
        return started[-1]

    yield begin
    for server in started:
        server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainerProcess]:
    """Return a trainer with the dataset "shop" and an allowed root with "shop.csv"."""
    folder = tmp_path_factory.mktemp("server")
    allowed = folder / "allowed"
    allowed.mkdir()
    (allowed / "shop.csv").write_text(rows(300))
    import_shop(folder / "workspace")
    trainer = TrainerProcess(
        folder / "workspace",
        folder / "log.txt",
        *("--allowed-root", str(allowed), "--upload-limit-mb", "8", "--rate-limit", "0"),
    )
    yield trainer
    assert trainer.terminate() == 0
