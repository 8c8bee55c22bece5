"""A real server: short of room, with wrong models, asked by clients that know nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from exporter.conftest import Start, contents, create, ended, leftovers, wait_for
from ktt.exporter.v1 import exports_pb2 as pb
from ktt.jobs.v1 import jobs_pb2


def test_a_model_that_answers_otherwise_is_not_published(start: Start, workspace: Path) -> None:
    with start().connect() as calls:
        job = ended(calls, create(calls, "tampered"))
        assert job.status.state == jobs_pb2.JOB_STATE_FAILED
        assert job.status.error.type == "JobFailedError"
        assert "differ from its checkpoint" in job.status.error.message
        assert not job.HasField("result")
        assert not (workspace / "outputs/tampered_shop").exists()
        wait_for(lambda: not leftovers(workspace), 10)
        with pytest.raises(grpc.RpcError) as caught:
            list(calls.DownloadArtifact(pb.DownloadArtifactRequest(export_job_id=job.id)))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_without_room_the_older_export_stays(start: Start, workspace: Path, tmp_path: Path) -> None:
    # An older export of the same: that of another model, under its name.
    server = start()
    with server.connect() as calls:
        ended(calls, create(calls, "tfidf_hsgd"))
        assert server.stop() == 0
    older = (workspace / "outputs/tfidf_hsgd_shop").rename(workspace / "outputs/hoarder_shop")
    manifest = json.loads((older / "manifest.json").read_text())
    (older / "manifest.json").write_text(json.dumps({**manifest, "model": "hoarder"}))
    before = contents(older)
    with start(file_limit=32 << 20).connect() as calls:
        job = ended(calls, create(calls, "hoarder"))
        assert job.status.state == jobs_pb2.JOB_STATE_FAILED
        assert job.status.error.type == "ResourceExhaustedError"
        wait_for(lambda: not leftovers(workspace), 10)
        assert contents(older) == before
        assert ended(calls, create(calls, "tfidf_lsgd")).result.path == "outputs/tfidf_lsgd_shop"


def test_a_second_server_on_the_workspace_is_refused(start: Start) -> None:
    with start().connect():
        second = start()
        assert second.process.wait(60) == 1
        (line,) = [line for line in second.lines() if "cannot start" in json.dumps(line)]
        assert "exporter" in json.dumps(line)


def test_a_client_that_knows_nothing_finds_and_makes_all_calls(start: Start) -> None:
    server = start()
    with server.connect(), grpc.insecure_channel(server.address) as channel:
        client = Reflected(channel)
        assert "ktt.exporter.v1.ExporterService" in client.services()
        call = client.service("ktt.exporter.v1.ExporterService")
        spec = {"dataset": "shop", "model": "tfidf_lsgd", "format": "EXPORT_FORMAT_ONNX"}
        (created,) = call("CreateExportJob", {"spec": spec})
        job_id = created["exportJob"]["id"]
        events = call("WatchExportJob", {"id": job_id})
        assert events[-1]["event"]["state"] == "JOB_STATE_SUCCEEDED"
        (job,) = call("GetExportJob", {"id": job_id})
        assert job["exportJob"]["result"]["manifest"]["parity"]["topPathAgreement"] == 1
        start_part, *chunks = call("DownloadArtifact", {"exportJobId": job_id})
        assert start_part["start"]["fileName"] == "tfidf_lsgd_shop.tar"
        assert chunks
        texts = {"dataset": "shop", "model": "tfidf_lsgd", "texts": ["tennis ball", "drum kit"]}
        (answered,) = call("Predict", texts)
        assert [answer["paths"][0]["classes"] for answer in answered["answers"]] == [
            ["Sport", "Balls"],
            ["Music", "Drums"],
        ]


class Reflected:
    """A client that learns every message and call from the server."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        self._pool = descriptor_pool.DescriptorPool()
        self._known: set[str] = set()

    def services(self) -> list[str]:
        answer = self._ask(list_services="")
        return [service.name for service in answer.list_services_response.service]

    def service(self, name: str) -> Callable[[str, dict[str, Any]], list[dict[str, Any]]]:
        self._learn(self._ask(file_containing_symbol=name))
        described = self._pool.FindServiceByName(name)

        def call(method_name: str, request: dict[str, Any]) -> list[dict[str, Any]]:
            method = described.FindMethodByName(method_name)
            message = message_factory.GetMessageClass(method.input_type)()
            json_format.ParseDict(request, message)
            make = (
                self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
            )
            made = make(
                f"/{name}/{method_name}",
                type(message).SerializeToString,
                message_factory.GetMessageClass(method.output_type).FromString,
            )(message, timeout=180)
            answers = made if method.server_streaming else [made]
            return [json_format.MessageToDict(answer) for answer in answers]

        return call

    def _ask(self, **question: str) -> reflection_pb2.ServerReflectionResponse:
        request = reflection_pb2.ServerReflectionRequest(**question)
        return next(self._stub.ServerReflectionInfo(iter([request])))

    def _learn(self, answer: reflection_pb2.ServerReflectionResponse) -> None:
        for content in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(content)
            if file.name in self._known:
                continue
            self._known.add(file.name)
            for needed in file.dependency:
                if needed not in self._known:
                    self._learn(self._ask(file_by_filename=needed))
            self._pool.Add(file)


def test_the_help_explains_every_option() -> None:
    code = f"import sys; sys.path[:] = {sys.path!r}; from exporter.main import main; main(['-h'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for option, variable in (
        ("--workspace", "KTT_WORKSPACE"),
        ("--workers", "KTT_WORKERS"),
        ("--queue-limit", "KTT_QUEUE_LIMIT"),
        ("--retention-days", "KTT_RETENTION_DAYS"),
        ("--model-cache", "KTT_MODEL_CACHE"),
        ("--port", "KTT_LISTEN_PORT"),
        ("--tls-cert", "KTT_TLS_CERT"),
    ):
        assert option in done.stdout
        assert variable in done.stdout
    assert "50052" in done.stdout


def test_a_workspace_that_is_a_file_is_a_wrong_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = f"import sys; sys.path[:] = {sys.path!r}; from exporter.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--workspace", str(tmp_path / "file")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "is a file" in done.stderr
