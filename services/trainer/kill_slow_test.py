"""Whatever is killed, whenever: a job ends once, what it made is whole, nothing else is left."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from ktt.jobs.v1 import jobs_pb2
from ktt.trainer.v1 import datasets_pb2, training_pb2
from trainer.conftest import Start, TrainerProcess, code_of, written

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

LONG = {"epochs": 10_000}


def workers_of(server: TrainerProcess) -> list[int]:
    """Return the processes that a server's threads have started."""
    found: list[int] = []
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        # A thread that has just ended started none that lives.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, (task / "children").read_text().split())
    return found


def is_gone(pid: int) -> bool:
    """Return whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def eventually(condition: Callable[[], Any], seconds: float = 30) -> bool:
    """Return whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def weights(server: TrainerProcess) -> list[str]:
    """Return the names of all that is below the weights folder, hidden or not."""
    return sorted(path.name for path in (server.workspace / "weights").rglob("*"))


def cancel(server: TrainerProcess, job_id: str) -> training_pb2.TrainingJob:
    """Cancel a training job."""
    request = training_pb2.CancelTrainingJobRequest(id=job_id)
    return server.calls.CancelTrainingJob(request).training_job


def test_a_job_outlives_a_server_that_is_killed(start: Start) -> None:
    server = start()
    job_id = server.train(hyperparameters={"epochs": 1500})
    queued = server.train()
    server.wait_until_it_fits(job_id)
    seen = list(zip(range(5), server.events(job_id), strict=False))[-1][1].sequence
    (worker,) = workers_of(server)
    server.kill()
    assert eventually(lambda: is_gone(worker))
    assert not list(server.workspace.rglob("best_*.safetensors"))
    again = start()
    events = list(again.events(job_id, after=seen))
    assert [event.sequence for event in events] == list(range(seen + 1, seen + 1 + len(events)))
    done = again.job(job_id)
    assert done.status.state == jobs_pb2.JOB_STATE_SUCCEEDED and done.status.attempt == 2
    list(again.events(queued))
    assert again.job(queued).status.state == jobs_pb2.JOB_STATE_SUCCEEDED
    made = sorted(path.name for path in again.workspace.glob("weights/*/*/best_*.safetensors"))
    both = [Path(again.job(each).result.checkpoint_path).name for each in (job_id, queued)]
    assert made == sorted(both)
    assert [name for name in weights(again) if name.startswith(".")] == []


def test_a_job_goes_on_after_a_server_that_was_stopped(start: Start) -> None:
    server = start()
    job_id = server.train(hyperparameters=LONG)
    server.wait_until_it_fits(job_id)
    began = time.monotonic()
    assert server.terminate() == 0
    assert time.monotonic() - began < 15
    assert weights(server) == []
    again = start()
    before = again.job(job_id).status.last_event
    events = again.events(job_id, after=before)
    assert next(event for event in events if event.progress.phase == "fit")
    assert again.job(job_id).status.attempt == 2
    cancel(again, job_id)
    assert list(again.events(job_id))[-1].state == jobs_pb2.JOB_STATE_CANCELLED
    assert again.terminate() == 0


def test_a_worker_that_is_killed_fails_its_job_and_no_other(start: Start) -> None:
    server = start()
    job_id = server.train(hyperparameters=LONG)
    other = server.train()
    server.wait_until_it_fits(job_id)
    (worker,) = workers_of(server)
    os.kill(worker, signal.SIGKILL)
    assert list(server.events(job_id))[-1].state == jobs_pb2.JOB_STATE_FAILED
    error = server.job(job_id).status.error
    assert error.signal == "SIGKILL" and "memory" in error.message
    list(server.events(other))
    result = server.job(other).result
    made = [Path(path).name for path in (result.checkpoint_path, result.report_path)]
    assert eventually(lambda: weights(server) == sorted(["tfidf_hsgd", "shop", *made]))


def test_a_running_job_is_cancelled_within_two_seconds(start: Start) -> None:
    server = start()
    job_id = server.train(hyperparameters=LONG)
    waiting = server.train(hyperparameters=LONG)
    server.wait_until_it_fits(job_id)
    assert server.job(waiting).status.jobs_ahead == 0  # the other one runs already
    assert cancel(server, waiting).status.state == jobs_pb2.JOB_STATE_CANCELLED
    began = time.monotonic()
    cancel(server, job_id)
    assert list(server.events(job_id))[-1].state == jobs_pb2.JOB_STATE_CANCELLED
    assert time.monotonic() - began < 2
    assert eventually(lambda: not weights(server))
    assert workers_of(server) == []
    assert cancel(server, job_id).status.state == jobs_pb2.JOB_STATE_CANCELLED


def test_a_dataset_that_a_job_needs_is_not_deleted(start: Start) -> None:
    server = start()
    delete = datasets_pb2.DeleteDatasetRequest(name="shop")
    job_id = server.train(hyperparameters=LONG)
    with pytest.raises(grpc.RpcError, match="wait for its end, or cancel it") as caught:
        server.calls.DeleteDataset(delete)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert job_id in caught.value.details()
    cancel(server, job_id)
    list(server.events(job_id))
    server.calls.DeleteDataset(delete)
    assert list((server.workspace / "datasets").iterdir()) == []


def test_fifty_requests_with_one_id_make_one_job(start: Start) -> None:
    server = start("--rate-limit", "0")
    wanted = training_pb2.TrainingSpec(dataset="shop", model="tfidf_hsgd", dry_run=True)
    request = training_pb2.CreateTrainingJobRequest(spec=wanted, request_id="same")
    calls = [server.calls.CreateTrainingJob.future(request) for _ in range(50)]
    assert len({call.result().training_job.id for call in calls}) == 1
    listed = server.calls.ListTrainingJobs(training_pb2.ListTrainingJobsRequest())
    assert len(listed.training_jobs) == 1


def test_the_queue_has_its_limit(start: Start) -> None:
    server = start("--queue-limit", "2")
    running = server.train(hyperparameters=LONG)
    server.wait_until_it_fits(running)
    waiting = [server.train() for _ in range(2)]
    assert code_of(server.train) == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.job(waiting[1]).status.jobs_ahead == 1
    for job_id in (*waiting, running):
        cancel(server, job_id)


def test_a_second_server_on_a_workspace_is_refused(start: Start) -> None:
    first = start()
    with pytest.raises(AssertionError, match="another server .* already runs the jobs"):
        start()
    first.train()


def test_an_upload_survives_a_server_that_is_killed(start: Start) -> None:
    server = start()
    data = os.urandom(3 * 1024**2)
    digest = hashlib.sha256(data).hexdigest()
    announced = datasets_pb2.CreateUploadRequest(
        file_name="x.csv", size_bytes=len(data), sha256=digest
    )
    upload = server.calls.CreateUpload(announced).upload.id
    half = 1024**2
    release = threading.Event()

    def messages() -> Any:
        yield from written(upload, 0, data[:half])
        release.wait(60)

    call = server.calls.WriteUpload.future(messages())
    get = datasets_pb2.GetUploadRequest(upload_id=upload)
    assert eventually(lambda: server.calls.GetUpload(get).upload.committed_bytes == half)
    server.kill()
    release.set()
    call.cancel()
    again = start()
    assert again.calls.GetUpload(get).upload.committed_bytes == half
    rest = written(upload, half, data[half : 2 * half], data[2 * half :])
    assert again.calls.WriteUpload(iter(rest)).upload.complete


def big_import(server: TrainerProcess, folder: Path) -> Any:
    """Begin an import that takes a while; return the call once it is in the midst of it."""
    with (folder / "big.csv").open("w") as file:
        file.write("title,category\n")
        file.writelines(f"a shoe no {row},Sport > {'xy'[row % 2]}\n" for row in range(3_000_000))
    request = datasets_pb2.CreateDatasetRequest(
        name="big",
        server_path=str(folder / "big.csv"),
        options=datasets_pb2.ImportOptions(text="title", classes="category", sep=" > "),
    )
    call = server.calls.CreateDataset(request)
    for response in call:
        if response.progress.step:
            return call
    raise AssertionError("it was too fast")


def test_a_client_that_vanishes_ends_its_import(start: Start, tmp_path: Path) -> None:
    server = start("--allowed-root", str(tmp_path))
    call = big_import(server, tmp_path)
    (worker,) = workers_of(server)
    assert list(server.workspace.glob("datasets/.tmp-*"))
    call.cancel()
    assert eventually(lambda: is_gone(worker), 5)
    datasets = server.workspace / "datasets"
    assert eventually(lambda: [path.name for path in datasets.iterdir()] == ["shop"])


def test_a_server_that_is_killed_leaves_no_half_of_an_import(start: Start, tmp_path: Path) -> None:
    server = start("--allowed-root", str(tmp_path))
    big_import(server, tmp_path)
    (worker,) = workers_of(server)
    server.kill()
    assert eventually(lambda: is_gone(worker))
    again = start()
    assert [path.name for path in (again.workspace / "datasets").iterdir()] == ["shop"]


def test_a_server_that_is_stopped_ends_imports(start: Start, tmp_path: Path) -> None:
    # Less than what is left of the import takes, on a quick machine too.
    server = start("--allowed-root", str(tmp_path), "--grace", "0.2")
    call = big_import(server, tmp_path)
    (worker,) = workers_of(server)
    assert server.terminate() == 0
    assert is_gone(worker)
    assert code_of(lambda: list(call)) != grpc.StatusCode.OK
    assert [path.name for path in (server.workspace / "datasets").iterdir()] == ["shop"]


REFLECTING = """
import sys
import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

channel = grpc.insecure_channel(sys.argv[1])
pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
service = pool.FindServiceByName("ktt.trainer.v1.TrainerService")

def call(name, **fields):
    method = service.methods_by_name[name]
    answer = GetMessageClass(method.output_type)
    kind = channel.unary_stream if method.server_streaming else channel.unary_unary
    make = kind(f"/{service.full_name}/{name}", response_deserializer=answer.FromString)
    return make(GetMessageClass(method.input_type)(**fields).SerializeToString())

spec = {"dataset": "shop", "model": "tfidf_hsgd", "dry_run": True}
job = call("CreateTrainingJob", spec=spec).training_job
states = [response.event.state for response in call("WatchTrainingJob", id=job.id)]
done = call("GetTrainingJob", id=job.id).training_job
assert states[-1] == done.status.state == 3, done
assert not [name for name in sys.modules if name.split(".")[0].startswith("ktt")]
print(done.result.metrics["test"].figures["hierarchical_f1"])
"""


def test_a_client_needs_nothing_but_reflection(start: Start, tmp_path: Path) -> None:
    server = start()
    site = next(path for path in sys.path if path.endswith("site-packages"))
    done = subprocess.run(
        [sys.executable, "-P", "-c", REFLECTING, server.address],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": site},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout) <= 1
