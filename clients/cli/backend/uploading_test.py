"""Files on their way to a server, through connections that break."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.backend.connection import Connection
from cli.backend.uploading import Uploader
from ktt.trainer.v1 import datasets_pb2, trainer_service_pb2_grpc
from ktt_core.errors import DataError, InvalidArgumentError, NotFoundError, UnavailableError
from ktt_core.progress import Progress
from ktt_rpc.channel import ClientSettings, open_channel

CONTENT = bytes(range(256)) * 8192  # 2 MiB


class Watcher:
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int]] = []
        self.notices: list[str] = []

    def begins(self, model: str, dataset: str, index: int = 0, total: int = 1) -> None:
        """Nothing begins here."""

    def progress(self, event: Progress) -> None:
        self.steps.append((event.phase, event.step))

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def ask(self, jobs: Any) -> Any:
        raise AssertionError("nobody is asked")


class Uploads(trainer_service_pb2_grpc.TrainerServiceServicer):
    """Keeps one upload; `breaks` says after how many more bytes a connection is lost."""

    def __init__(self, *breaks: int) -> None:
        self.breaks = list(breaks)
        self.upload: datasets_pb2.Upload | None = None
        self.data = b""
        self.offsets: list[int] = []
        self.deleted = False
        self.away = False

    def CreateUpload(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.upload = datasets_pb2.Upload(
            id="up1",
            file_name=request.file_name,
            size_bytes=request.size_bytes,
            sha256=request.sha256,
        )
        return datasets_pb2.CreateUploadResponse(upload=self._state())

    def GetUpload(self, request: Any, context: Any) -> Any:  # noqa: N802
        if self.away:
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        if self.upload is None or request.upload_id != "up1":
            context.abort(grpc.StatusCode.NOT_FOUND, "no upload")
        return datasets_pb2.GetUploadResponse(upload=self._state())

    def WriteUpload(self, requests: Any, context: Any) -> Any:  # noqa: N802
        start = next(requests).start
        self.offsets.append(start.offset)
        if start.offset != len(self.data):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "wrong offset")
        room = self.breaks.pop(0) if self.breaks else None
        for request in requests:
            self.data += request.chunk
            if room is not None and (room := room - len(request.chunk)) <= 0:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the wire broke")
        return datasets_pb2.WriteUploadResponse(upload=self._state())

    def DeleteUpload(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.deleted = True
        return datasets_pb2.DeleteUploadResponse()

    def _state(self) -> datasets_pb2.Upload:
        assert self.upload is not None
        upload = datasets_pb2.Upload()
        upload.CopyFrom(self.upload)
        upload.committed_bytes = len(self.data)
        upload.complete = len(self.data) == upload.size_bytes
        return upload


@contextmanager
def serving(servicer: Uploads) -> Iterator[tuple[Any, Connection]]:
    """Serve on a free port; yield a stub and the connection to it."""
    server = grpc.server(ThreadPoolExecutor(4))
    port = server.add_insecure_port("localhost:0")
    trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server(servicer, server)
    server.start()
    address = f"localhost:{port}"
    try:
        with open_channel(ClientSettings(address)) as channel:
            stub = trainer_service_pb2_grpc.TrainerServiceStub(channel)
            yield stub, Connection(address, address, timeout=10, reconnect=10)
    finally:
        server.stop(None).wait()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "shop.csv"
    file.write_bytes(CONTENT)
    return file


def test_a_file_arrives_whole(file: Path) -> None:
    servicer, watcher = Uploads(), Watcher()
    with serving(servicer) as (stub, connection):
        assert Uploader(stub, connection, watcher).send(file) == "up1"
    assert servicer.data == CONTENT
    assert servicer.upload is not None
    assert servicer.upload.file_name == "shop.csv"
    assert servicer.upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert watcher.steps[-1] == ("upload", len(CONTENT))
    assert watcher.notices == []


def test_an_empty_file_is_sent_too(tmp_path: Path) -> None:
    servicer, empty = Uploads(), tmp_path / "empty.csv"
    empty.touch()
    with serving(servicer) as (stub, connection):
        assert Uploader(stub, connection, Watcher()).send(empty) == "up1"


def test_a_broken_connection_goes_on_where_it_was(file: Path) -> None:
    servicer, watcher = Uploads(300_000, 1, 900_000), Watcher()
    with serving(servicer) as (stub, connection):
        Uploader(stub, connection, watcher).send(file)
    assert servicer.data == CONTENT
    assert servicer.offsets[0] == 0
    assert servicer.offsets == sorted(set(servicer.offsets))
    assert len(servicer.offsets) == 4
    assert len(watcher.notices) == 3


def test_a_server_that_stays_away_keeps_what_came(file: Path) -> None:
    servicer = Uploads(300_000)
    with serving(servicer) as (stub, connection):
        servicer.away = True
        with pytest.raises(UnavailableError, match="--upload up1"):
            Uploader(stub, replace(connection, reconnect=0.5), Watcher()).send(file)
        assert not servicer.deleted
        assert 0 < len(servicer.data) < len(CONTENT)
        servicer.away = False
        Uploader(stub, connection, Watcher()).send(file, "up1")
    assert servicer.data == CONTENT


def test_an_upload_of_another_file_is_not_gone_on_with(file: Path) -> None:
    with serving(Uploads(1000)) as (stub, connection):
        uploader = Uploader(stub, connection, Watcher())
        uploader.send(file)
        file.write_bytes(CONTENT[1:])
        with pytest.raises(InvalidArgumentError, match="another file"):
            uploader.send(file, "up1")
        with pytest.raises(NotFoundError):
            uploader.send(file, "up2")


def test_what_is_no_file_is_not_announced(tmp_path: Path) -> None:
    servicer = Uploads()
    with serving(servicer) as (stub, connection):
        uploader = Uploader(stub, connection, Watcher())
        with pytest.raises(NotFoundError, match="there is no file"):
            uploader.send(tmp_path / "none.csv")
        with pytest.raises(DataError, match="folder"):
            uploader.send(tmp_path)
        with pytest.raises(DataError, match="regular"):
            uploader.send(Path("/dev/null"))
    assert servicer.upload is None
