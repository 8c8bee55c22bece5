"""Servers, workers and commands are killed or stopped: what they trained comes to the same numbers.

With a sample model for the moments that are hard to meet, and with a real one at a random moment.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from ktt.jobs.v1 import jobs_pb2
from ktt.trainer.v1 import models_pb2, training_pb2
from ktt_core.checkpoints.format import read_arrays
from trainer import Trainer, TrainRequest
from trainer.conftest import TrainerProcess, rows
from trainer.resuming_test import add_steady, eventually, import_rows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

Start = Callable[..., TrainerProcess]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return a function that starts a trainer with the model "steady" and the dataset "toy"."""
    add_steady(tmp_path / "site", monkeypatch)
    import_rows(Trainer(tmp_path / "workspace"), "toy")
    started: list[TrainerProcess] = []

    def begin(*arguments: str) -> TrainerProcess:
        log = tmp_path / f"log{len(started)}.txt"
        started.append(TrainerProcess(tmp_path / "workspace", log, *arguments))
        return started[-1]

    yield begin
    for server in started:
        server.kill()


def train(server: TrainerProcess, *, resume: bool = False, **hyperparameters: Any) -> str:
    """Make a training job of "steady" on "toy"."""
    spec = training_pb2.TrainingSpec(dataset="toy", model="steady", resume=resume)
    spec.hyperparameters.update(hyperparameters)
    request = training_pb2.CreateTrainingJobRequest(spec=spec)
    return str(server.calls.CreateTrainingJob(request).training_job.id)


def wait_for_step(server: TrainerProcess, job_id: str, step: int) -> None:
    """Return when a job has taken so many steps."""
    for event in server.events(job_id):
        if event.progress.phase == "fit" and event.progress.step >= step:
            return
    raise AssertionError(f"it ended before: {server.job(job_id)}")


def wait_for_end(server: TrainerProcess, job_id: str) -> training_pb2.TrainingJob:
    """Return a job that has ended."""
    list(server.events(job_id))
    return server.job(job_id)


def checkpoints(server: TrainerProcess) -> list[tuple[str, int]]:
    """Return the labels and the states of the runs of the checkpoints."""
    listed = server.calls.ListCheckpoints(models_pb2.ListCheckpointsRequest()).checkpoints
    return [(entry.label, entry.run_state) for entry in listed]


def assert_same_as_undisturbed(server: TrainerProcess, job: training_pb2.TrainingJob) -> None:
    """Check that a job came to what it would have come to in peace, to the last bit."""
    assert job.status.state == jobs_pb2.JOB_STATE_SUCCEEDED, job.status.error
    assert job.result.resumed
    plain = wait_for_end(server, train(server, pause=0.05, epochs=6))
    assert plain.result.metrics == job.result.metrics
    paths = [server.workspace / each.result.checkpoint_path for each in (plain, job)]
    left, right = (read_arrays(path, "steady")[1]["weights"] for path in paths)
    assert left.tolist() == right.tolist()


def test_a_server_that_is_killed_goes_on_with_the_run(start: Start) -> None:
    server = start()
    job_id = train(server, pause=0.05, epochs=6)
    wait_for_step(server, job_id, 25)
    server.kill()
    (last,) = server.workspace.glob("weights/steady/toy/last_*")
    assert read_arrays(last, "steady")[0]["step"] >= 20
    again = start()
    job = wait_for_end(again, job_id)
    assert job.status.attempt == 2
    assert job.result.run_time in last.name
    steps = [event.progress.step for event in again.events(job_id) if event.progress.phase == "fit"]
    assert steps.count(0) == 1, "it began anew"
    assert_same_as_undisturbed(again, job)


def test_a_server_that_is_stopped_lets_the_step_end(start: Start) -> None:
    server = start()
    job_id = train(server, pause=0.05, epochs=6)
    wait_for_step(server, job_id, 13)
    assert server.terminate() == 0
    (last,) = server.workspace.glob("weights/steady/toy/last_*")
    # Not the state at the end of the first epoch, but that of the moment.
    assert read_arrays(last, "steady")[0]["step"] >= 13
    again = start()
    assert_same_as_undisturbed(again, wait_for_end(again, job_id))


def test_a_cancelled_run_is_continued_by_another_job(start: Start) -> None:
    server = start()
    job_id = train(server, pause=0.05, epochs=6)
    wait_for_step(server, job_id, 13)
    unfinished, running = models_pb2.RUN_STATE_UNFINISHED, models_pb2.RUN_STATE_RUNNING
    assert checkpoints(server) == [("last", running)]
    with pytest.raises(grpc.RpcError, match="is running in process") as caught:
        train(server, resume=True)
    assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS
    server.calls.CancelTrainingJob(training_pb2.CancelTrainingJobRequest(id=job_id))
    assert wait_for_end(server, job_id).status.state == jobs_pb2.JOB_STATE_CANCELLED
    assert checkpoints(server) == [("last", unfinished)]
    assert_same_as_undisturbed(server, wait_for_end(server, train(server, resume=True)))
    with pytest.raises(grpc.RpcError, match="is finished") as caught:
        train(server, resume=True)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION


def test_a_cancelled_run_that_does_not_end_its_step_is_killed(start: Start) -> None:
    server = start("--cancel-grace", "1")
    job_id = train(server, pause=30, epochs=6)
    wait_for_step(server, job_id, 0)
    began = time.monotonic()
    server.calls.CancelTrainingJob(training_pb2.CancelTrainingJobRequest(id=job_id))
    assert wait_for_end(server, job_id).status.state == jobs_pb2.JOB_STATE_CANCELLED
    assert time.monotonic() - began < 15


def test_of_two_jobs_that_continue_one_run_one_does(start: Start) -> None:
    server = start("--workers", "2")
    failed = wait_for_end(server, train(server, pause=0.05, epochs=6, fails_at=13))
    assert "ktt train toy -m steady --resume" in failed.status.error.message
    jobs = [wait_for_end(server, job_id) for job_id in [train(server, resume=True)]]
    states = [job.status.state for job in jobs]
    assert states == [jobs_pb2.JOB_STATE_SUCCEEDED]
    assert len(list(server.workspace.glob("weights/steady/toy/best_*"))) == 1


# -- a real model ----------------------------------------------------------------------------------

REAL = {"epochs": 3, "batch_size": 16, "checkpoint_minutes": 0.001, "dropout": 0.1}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Return a trainer with the dataset "shop" and an encoder "tiny"."""
    from ktt_core.datasets.options import ImportOptions
    from ktt_models.pytorch.encoders.tiny import write_tiny_encoder

    folder = tmp_path_factory.mktemp("real")
    (folder / "shop.csv").write_text(rows(300))
    write_tiny_encoder(folder / "tiny", rows(300).splitlines())
    trainer = Trainer(folder / "workspace")
    options = ImportOptions("title", "category", sep=" > ")
    trainer.import_dataset(folder / "shop.csv", "shop", options)
    return trainer


def is_gone(proc: Path) -> bool:
    """Return whether the process of a folder in /proc has ended."""
    return not proc.exists()


def request(trainer: Trainer, **options: Any) -> TrainRequest:
    encoder = {"encoder": str(trainer.root.parent / "tiny")}
    overrides = {} if options.get("resume") else {**REAL, **encoder}
    return TrainRequest(("shop",), ("db_linear",), overrides, **options)


KILLED = """
import sys
from pathlib import Path
from trainer import Trainer
from trainer.resuming_slow_test import request

def watch(event):
    if event.progress and event.progress.phase == "fit":
        print(event.progress.step, flush=True)

trainer = Trainer(Path(sys.argv[1]))
print(trainer.train(request(trainer, resume=sys.argv[2] == "resume"), watch)[0].error)
"""


@pytest.mark.parametrize("victim", ["command", "worker"])
def test_a_real_run_that_is_killed_at_random_comes_to_the_same_numbers(
    real: Trainer, victim: str
) -> None:
    (whole,) = real.train(request(real))
    assert whole.error is None
    seed = random.randrange(2**32)
    print(f"the moments are those of seed {seed}")
    moments = random.Random(seed)
    for attempt in ("begin", "resume"):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(real.root), attempt],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        first = int(process.stdout.readline())
        until = first + moments.randrange(2, 14)
        while int(process.stdout.readline()) < until:
            pass
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (worker,) = map(int, children)
        os.kill(process.pid if victim == "command" else worker, signal.SIGKILL)
        process.communicate()
        proc = Path(f"/proc/{worker}")
        assert eventually(partial(is_gone, proc))
    (resumed,) = real.train(request(real, resume=True))
    assert resumed.error is None and resumed.resumed
    assert resumed.metrics == whole.metrics
    assert whole.checkpoint is not None and resumed.checkpoint is not None
    left, right = (
        read_arrays(path, "db_linear")[1] for path in (whole.checkpoint, resumed.checkpoint)
    )
    assert left.keys() == right.keys()
    assert all((left[name] == right[name]).all() for name in left)
