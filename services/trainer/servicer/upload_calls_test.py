"""The calls about uploads, as a client of a real server sees them."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from ktt.trainer.v1 import datasets_pb2
from trainer.conftest import TrainerProcess, code_of, create_dataset, refusal, rows, written

DATA = rows(300).encode()
DIGEST = hashlib.sha256(DATA).hexdigest()
Code = grpc.StatusCode


def announce(server: TrainerProcess, sha256: str = DIGEST, **changes: Any) -> str:
    """Announce the file, and return the upload's id."""
    values = {"file_name": "shop.csv", "size_bytes": len(DATA), "sha256": sha256, **changes}
    request = datasets_pb2.CreateUploadRequest(**values)
    return str(server.calls.CreateUpload(request).upload.id)


def upload_of(server: TrainerProcess, upload: str) -> datasets_pb2.Upload:
    """Return an upload."""
    return server.calls.GetUpload(datasets_pb2.GetUploadRequest(upload_id=upload)).upload


def eventually(condition: Callable[[], bool]) -> bool:
    """Return whether a condition comes true within some seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_an_uploaded_file_becomes_a_dataset_and_is_thrown_away(server: TrainerProcess) -> None:
    upload = server.upload(DATA, DIGEST)
    assert upload_of(server, upload).complete
    last = create_dataset(server, name="uploaded", upload_id=upload)
    assert last.created.dataset.leaf_count == 3
    assert refusal(upload_of, server, upload) == (Code.NOT_FOUND, [])
    server.calls.DeleteDataset(datasets_pb2.DeleteDatasetRequest(name="uploaded"))
    assert list((server.workspace / "uploads").iterdir()) == []


def test_an_import_that_fails_keeps_the_upload(server: TrainerProcess) -> None:
    upload = server.upload(DATA, DIGEST)
    assert refusal(create_dataset, server, name="shop", upload_id=upload) == (
        Code.ALREADY_EXISTS,
        [],
    )
    assert upload_of(server, upload).complete
    server.calls.DeleteUpload(datasets_pb2.DeleteUploadRequest(upload_id=upload))
    assert refusal(upload_of, server, upload) == (Code.NOT_FOUND, [])


def test_a_client_that_breaks_off_goes_on_where_it_ended(server: TrainerProcess) -> None:
    upload = announce(server)
    begun, release = threading.Event(), threading.Event()

    def breaking() -> Iterator[datasets_pb2.WriteUploadRequest]:
        yield from written(upload, 0, DATA[:1000])
        begun.set()
        release.wait(30)

    call = server.calls.WriteUpload.future(breaking())
    assert begun.wait(30)
    assert eventually(lambda: upload_of(server, upload).committed_bytes == 1000)
    second = refusal(lambda: server.calls.WriteUpload(iter(written(upload, 1000, DATA[1000:]))))
    assert second == (Code.FAILED_PRECONDITION, [])
    call.cancel()
    release.set()

    def go_on() -> bool:
        return code_of(lambda: server.calls.WriteUpload(iter(rest))) == Code.OK

    rest = written(upload, 1000, DATA[1000:3000])
    assert eventually(go_on)
    wrong = refusal(lambda: server.calls.WriteUpload(iter(written(upload, 10, b"x"))))
    assert wrong == (Code.FAILED_PRECONDITION, [])
    not_yet = refusal(create_dataset, server, name="x", upload_id=upload)
    assert not_yet == (Code.FAILED_PRECONDITION, [])
    done = server.calls.WriteUpload(iter(written(upload, 3000, DATA[3000:]))).upload
    assert done.complete and done.committed_bytes == len(DATA)
    server.calls.DeleteUpload(datasets_pb2.DeleteUploadRequest(upload_id=upload))


def test_a_wrong_checksum_throws_the_upload_away_and_says_so(server: TrainerProcess) -> None:
    upload = announce(server, "0" * 64)
    with pytest.raises(grpc.RpcError, match="was deleted") as caught:
        server.calls.WriteUpload(iter(written(upload, 0, DATA)))
    assert caught.value.code() == Code.INVALID_ARGUMENT
    assert refusal(upload_of, server, upload) == (Code.NOT_FOUND, [])
    assert list((server.workspace / "uploads").iterdir()) == []


def test_uploads_that_cannot_be_are_refused(server: TrainerProcess) -> None:
    for changes, field in (
        ({"file_name": "../../etc/cron.d/x.csv"}, "file_name"),
        ({"file_name": "x.exe"}, "file_name"),
        ({"size_bytes": -5}, "size_bytes"),
        ({"size_bytes": 9 * 1024**2}, "size_bytes"),
        ({"sha256": "abc"}, "sha256"),
    ):
        bad = refusal(announce, server, **changes)
        assert bad == (Code.INVALID_ARGUMENT, [field])
    upload = announce(server)
    start, chunk = written(upload, 0, DATA)
    for messages, field in (
        ([], "start"),
        ([chunk], "start"),
        ([start, start], "chunk"),
        ([start, datasets_pb2.WriteUploadRequest()], "chunk"),
        (written("../x", 0), "start.upload_id"),
        (written(upload, 0, DATA, b"more"), "chunk"),
    ):
        bad = refusal(server.calls.WriteUpload, iter(messages))
        assert bad == (Code.INVALID_ARGUMENT, [field])
    big = announce(server, size_bytes=3 * 1024**2)
    large = written(big, 0, b"x" * (1024**2 + 1))
    assert refusal(server.calls.WriteUpload, iter(large)) == (
        Code.INVALID_ARGUMENT,
        ["chunk"],
    )
    assert upload_of(server, big).committed_bytes == 0
    for left in (upload, big):
        server.calls.DeleteUpload(datasets_pb2.DeleteUploadRequest(upload_id=left))
