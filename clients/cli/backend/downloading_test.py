"""Exports on their way from a server: through connections that break, and from one that cheats."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.backend.connection import Connection
from cli.backend.downloading import download
from ktt.exporter.v1 import exporter_service_pb2_grpc, exports_pb2
from ktt_core.errors import ConflictError, DataError, UnavailableError
from ktt_core.progress import Progress
from ktt_rpc.channel import ClientSettings, open_channel


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


class Exports(exporter_service_pb2_grpc.ExporterServiceServicer):
    """Sends one archive; `breaks` says after how many bytes of a stream the connection is lost."""

    def __init__(self, archive: bytes, *breaks: int, sha256: str = "", more: bytes = b"") -> None:
        self.archive = archive
        self.breaks = list(breaks)
        self.sha256 = sha256 or hashlib.sha256(archive).hexdigest()
        self.more = more
        self.offsets: list[int] = []

    def DownloadArtifact(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.export_job_id != "job1":
            context.abort(grpc.StatusCode.NOT_FOUND, "no job")
        self.offsets.append(request.offset)
        start = exports_pb2.ArtifactStart(
            file_name="../../evil.tar", size_bytes=len(self.archive), sha256=self.sha256
        )
        yield exports_pb2.DownloadArtifactResponse(start=start)
        left = self.breaks.pop(0) if self.breaks else None
        for at in range(request.offset, len(self.archive), 4096):
            chunk = self.archive[at : at + 4096]
            yield exports_pb2.DownloadArtifactResponse(chunk=chunk)
            if left is not None and (left := left - len(chunk)) <= 0:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the wire broke")
        if self.more:
            yield exports_pb2.DownloadArtifactResponse(chunk=self.more)


@contextmanager
def serving(servicer: Exports) -> Iterator[tuple[Any, Connection]]:
    """Serve on a free port; yield a stub and the connection to it."""
    server = grpc.server(ThreadPoolExecutor(4))
    port = server.add_insecure_port("localhost:0")
    exporter_service_pb2_grpc.add_ExporterServiceServicer_to_server(servicer, server)
    server.start()
    address = f"localhost:{port}"
    try:
        with open_channel(ClientSettings(address)) as channel:
            stub = exporter_service_pb2_grpc.ExporterServiceStub(channel)
            yield stub, Connection(address, address, timeout=10, reconnect=10)
    finally:
        server.stop(None).wait()


def archive(
    extra: list[tuple[tarfile.TarInfo, bytes]] | None = None, top: str = "m_d", **manifest: Any
) -> bytes:
    """Return an export as an archive."""
    files = {"model.onnx": b"graph" * 50_000, "hierarchy.json": b"{}"}
    value = {
        "model": "m",
        "dataset": "d",
        "files": [
            {"path": name, "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        ],
        **manifest,
    }
    files["manifest.json"] = json.dumps(value).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as opened:
        entries = [(tarfile.TarInfo(f"{top}/{name}"), data) for name, data in files.items()]
        for info, data in [*entries, *(extra or [])]:
            if info.isfile():
                info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def fetch(servicer: Exports, output: Path, **changes: Any) -> tuple[Path, dict[str, Any]]:
    with serving(servicer) as (stub, connection):
        watcher = Watcher()
        return download(
            stub, replace(connection, **changes), "job1", "m", "d", "onnx", output, watcher
        )


def test_an_export_appears_whole(tmp_path: Path) -> None:
    folder, manifest = fetch(Exports(archive()), tmp_path / "out")
    assert folder == tmp_path / "out/m_d"
    assert (folder / "model.onnx").read_bytes() == b"graph" * 50_000
    assert manifest["model"] == "m"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["m_d"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_broken_download_goes_on_where_it_was(tmp_path: Path) -> None:
    servicer = Exports(archive(), 10_000, 0, 100_000)
    fetch(servicer, tmp_path)
    assert servicer.offsets[0] == 0
    assert servicer.offsets == sorted(servicer.offsets)
    assert len(servicer.offsets) == 4


def test_a_newer_export_replaces_the_older_one(tmp_path: Path) -> None:
    fetch(Exports(archive(opset=1)), tmp_path)
    assert fetch(Exports(archive(opset=2)), tmp_path)[1]["opset"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["m_d"]


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info, b""


@pytest.mark.parametrize(
    "servicer",
    [
        Exports(archive([(tarfile.TarInfo("m_d/../../evil"), b"x")])),
        Exports(archive([(tarfile.TarInfo("/tmp/evil"), b"x")])),
        Exports(archive([link("m_d/passwd", "/etc/passwd")])),
        Exports(archive([(tarfile.TarInfo("m_d/more.py"), b"import os")])),
        Exports(archive([(tarfile.TarInfo("other/file"), b"x")])),
        Exports(archive(model="other")),
        Exports(archive(files=[])),
        Exports(archive()[:5000]),
        Exports(b"no archive at all" * 100),
        Exports(archive(), sha256="0" * 64),
        Exports(archive(), sha256="none"),
        Exports(archive(), more=b"more"),
    ],
    ids=[
        "outside",
        "absolute",
        "link",
        "a file that the manifest does not name",
        "two folders",
        "of another model",
        "files without checksums",
        "cut short",
        "no archive",
        "wrong checksum",
        "no checksum",
        "too long",
    ],
)
def test_what_a_server_must_not_send_leaves_nothing(tmp_path: Path, servicer: Exports) -> None:
    with pytest.raises(DataError):
        fetch(servicer, tmp_path / "out")
    assert not list(tmp_path.rglob("*"))


def test_a_bad_download_leaves_the_older_export(tmp_path: Path) -> None:
    fetch(Exports(archive()), tmp_path)
    with pytest.raises(DataError):
        fetch(Exports(archive(model="other")), tmp_path)
    assert json.loads((tmp_path / "m_d/manifest.json").read_text())["model"] == "m"
    assert [path.name for path in tmp_path.iterdir()] == ["m_d"]


def test_a_folder_that_is_no_export_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "m_d").mkdir()
    (tmp_path / "m_d/mine.txt").write_text("mine")
    servicer = Exports(archive())
    with pytest.raises(ConflictError, match="not from an export"):
        fetch(servicer, tmp_path)
    assert servicer.offsets == []
    assert (tmp_path / "m_d/mine.txt").read_text() == "mine"


def test_an_exporter_that_stays_away_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="ktt jobs fetch job1"):
        fetch(Exports(archive(), *[0] * 50), tmp_path, reconnect=0.0)
    assert not list(tmp_path.iterdir())
