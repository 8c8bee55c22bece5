"""An upload keeps what has come, takes nothing that was not announced, and harms nothing else."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ktt_core.errors import (
    DataError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    UnavailableError,
)
from trainer import upload_writer
from trainer.upload_info import UploadInfo
from trainer.uploads import UploadStore

DATA = b"text,path\n" + b"a trail shoe,Sport > Shoes\n" * 40
DIGEST = hashlib.sha256(DATA).hexdigest()
SUFFIXES = (".csv", ".csv.gz")


@pytest.fixture
def store(tmp_path: Path) -> UploadStore:
    return UploadStore(tmp_path / "uploads", SUFFIXES, limit_bytes=10_000, max_uploads=3)


def announce(store: UploadStore, sha256: str = DIGEST) -> str:
    return store.create("shop.csv", len(DATA), sha256).id


def write(store: UploadStore, upload: str, offset: int, *chunks: bytes) -> UploadInfo:
    with store.writing(upload, offset) as writer:
        for chunk in chunks:
            writer.write(chunk)
        return writer.finish()


def files(store: UploadStore) -> list[Path]:
    return sorted(path for path in store._folder.rglob("*") if path.is_file())


def test_a_file_that_has_come_whole_can_be_used_under_its_name(store: UploadStore) -> None:
    upload = announce(store)
    done = write(store, upload, 0, DATA[:100], DATA[100:])
    assert done.complete and done.committed_bytes == len(DATA)
    with store.using(upload) as used:
        assert used.path.name == "shop.csv"
        assert used.path.read_bytes() == DATA
        used.discard()
    with pytest.raises(NotFoundError):
        store.get(upload)
    assert files(store) == []


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"file_name": "shop.csv"}', '{"file_name": 1, "size": "2", "complete": 0}'],
)
def test_a_damaged_upload_is_told(store: UploadStore, text: str) -> None:
    upload = announce(store)
    (store._folder / upload / "upload.json").write_text(text)
    with pytest.raises(DataError, match="is damaged: upload.json: .*; delete it, start again"):
        store.get(upload)
    store.delete(upload)


def test_a_broken_upload_goes_on_where_it_ended(store: UploadStore) -> None:
    upload = announce(store)
    with pytest.raises(ConnectionError):
        with store.writing(upload, 0) as writer:
            writer.write(DATA[:300])
            raise ConnectionError
    assert store.get(upload).committed_bytes == 300
    # Another process after a restart.
    store = UploadStore(store._folder, SUFFIXES)
    assert not store.get(upload).complete
    with pytest.raises(FailedPreconditionError, match="has 300 bytes: continue there, not at 0"):
        write(store, upload, 0, DATA)
    assert write(store, upload, 300, DATA[300:]).complete


def test_a_file_with_another_checksum_is_thrown_away(store: UploadStore) -> None:
    upload = announce(store, "0" * 64)
    with pytest.raises(InvalidArgumentError, match="was deleted") as caught:
        write(store, upload, 0, DATA)
    assert caught.value.field == "sha256"
    assert files(store) == []


def test_an_upload_whose_last_bytes_came_before_a_crash_completes_without_more(
    store: UploadStore,
) -> None:
    upload = announce(store)
    with store.writing(upload, 0) as writer:
        writer.write(DATA)
    assert not store.get(upload).complete
    assert write(store, upload, len(DATA)).complete


def test_no_more_is_taken_than_was_announced(
    store: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = announce(store)
    with pytest.raises(InvalidArgumentError, match="more bytes are sent than the"):
        write(store, upload, 0, DATA, b"x")
    assert store.get(upload).committed_bytes == len(DATA)
    monkeypatch.setattr(upload_writer, "MAX_CHUNK_BYTES", 10)
    other = announce(store)
    with pytest.raises(InvalidArgumentError, match="a chunk may have 10 bytes"):
        write(store, other, 0, DATA[:11])
    assert store.get(other).committed_bytes == 0


def test_only_one_writes_or_uses_an_upload_at_a_time(store: UploadStore) -> None:
    upload = announce(store)
    with store.writing(upload, 0) as writer:
        writer.write(DATA)
        for other in (
            lambda: write(store, upload, 0, DATA),
            lambda: store.delete(upload),
        ):
            with pytest.raises(FailedPreconditionError, match="another call"):
                other()
        assert store.sweep() == []
        assert writer.finish().complete
        with pytest.raises(UnavailableError, match="has ended"):
            writer.write(b"x")
    with store.using(upload):
        with pytest.raises(FailedPreconditionError, match="another call"):
            store.delete(upload)
    with pytest.raises(FailedPreconditionError, match="complete already"):
        write(store, upload, len(DATA))
    store.delete(upload)
    assert files(store) == []


def test_many_read_an_upload_and_nobody_uses_it_up_meanwhile(store: UploadStore) -> None:
    upload = announce(store)
    with pytest.raises(FailedPreconditionError, match="not complete"), store.reading(upload):
        pass
    write(store, upload, 0, DATA)
    with store.reading(upload) as one, store.reading(upload) as other:
        assert one == other and one.read_bytes() == DATA
        with pytest.raises(FailedPreconditionError, match="another call"):
            store.delete(upload)
        with pytest.raises(FailedPreconditionError, match="another call"), store.using(upload):
            pass
    store.delete(upload)


def test_an_upload_that_is_not_complete_cannot_be_used(store: UploadStore) -> None:
    upload = announce(store)
    write(store, upload, 0, DATA[:10])
    with pytest.raises(FailedPreconditionError, match="10 of 1,090 bytes"):
        with store.using(upload):
            raise AssertionError("it was used")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x.csv", "/etc/x.csv", "a/b.csv", "a\\b.csv", "C:x.csv", ".hidden.csv"]
    + ["x\n.csv", "x\0.csv", "x\x1b[2J.csv", "n" * 250 + ".csv", "x.exe", "csv", "\u202ex.csv"],
)
def test_hostile_names_are_refused(store: UploadStore, name: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        store.create(name, 10, DIGEST)
    assert caught.value.field == "file_name"
    assert not store._folder.exists()


def test_names_of_people_are_taken(store: UploadStore) -> None:
    for name in ("Bücher und Töpfe (1).CSV", "- x;rm -rf.csv.gz", "データ.csv"):
        assert store.create(name, 10, DIGEST.upper()).file_name == name


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("x.csv", 0, DIGEST), "size_bytes"),
        (("x.csv", -1, DIGEST), "size_bytes"),
        (("x.csv", 10_001, DIGEST), "size_bytes"),
        (("x.csv", 10, ""), "sha256"),
        (("x.csv", 10, "z" * 64), "sha256"),
        (("x.csv", 10, DIGEST + "00"), "sha256"),
    ],
)
def test_what_no_file_has_is_refused(
    store: UploadStore, arguments: tuple[Any, ...], field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        store.create(*arguments)
    assert caught.value.field == field


@pytest.mark.parametrize("upload", ["", "..", "../uploads", "a" * 31, "A" * 32, "0" * 33])
def test_what_is_no_id_touches_no_path(store: UploadStore, upload: str) -> None:
    announce(store)
    for call in (store.get, store.delete, store.check_complete):
        with pytest.raises(InvalidArgumentError):
            call(upload)
    with pytest.raises(NotFoundError):
        store.get("0" * 32)


def test_there_is_an_end_to_uploads(store: UploadStore) -> None:
    uploads = [announce(store) for _ in range(3)]
    with pytest.raises(ResourceExhaustedError, match="3 uploads already"):
        announce(store)
    store.delete(uploads[0])
    announce(store)


def test_files_that_never_came_make_room_and_begun_ones_do_not(tmp_path: Path) -> None:
    clock = [time.time()]
    store = UploadStore(tmp_path / "uploads", SUFFIXES, max_uploads=3, now=lambda: clock[0])
    begun, done = announce(store), announce(store)
    write(store, begun, 0, DATA[:100])
    write(store, done, 0, DATA)
    never = announce(store)
    clock[0] += 50
    with pytest.raises(ResourceExhaustedError):
        announce(store)
    clock[0] += 20
    # Somebody is just beginning with it.
    with store.writing(never, 0), pytest.raises(ResourceExhaustedError):
        announce(store)
    announce(store)
    assert store.get(begun).committed_bytes == 100 and store.get(done).complete
    with pytest.raises(NotFoundError):
        store.get(never)


def test_uploads_expire_that_nobody_touches(tmp_path: Path) -> None:
    clock = [time.time()]
    store = UploadStore(
        tmp_path / "uploads", SUFFIXES, ttl=timedelta(hours=1), now=lambda: clock[0]
    )
    old, used = announce(store), announce(store)
    write(store, used, 0, DATA)
    assert store.sweep() == []
    clock[0] += 3700
    with store.using(used):
        assert store.sweep() == [old]
    with pytest.raises(NotFoundError):
        store.get(old)


def test_a_disk_that_is_full_keeps_whole_chunks_only(
    store: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = announce(store)
    real = os.write

    def full(descriptor: int, data: Any) -> int:
        if len(data) > 50:
            return real(descriptor, data[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    with store.writing(upload, 0) as writer:
        writer.write(DATA[:40])
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(ResourceExhaustedError, match="the server's disk is full"):
            writer.write(DATA[40:140])
        monkeypatch.undo()
    assert store.get(upload).committed_bytes == 40
    assert write(store, upload, 40, DATA[40:]).complete


WRITER = """
import sys
from pathlib import Path
from trainer.uploads import UploadStore
store = UploadStore(Path(sys.argv[1]), (".csv",))
with store.writing(sys.argv[2], 0) as writer:
    writer.write(b"x" * 500)
    print("written", flush=True)
    sys.stdin.read()
"""


def test_a_writer_that_is_killed_leaves_what_had_come(store: UploadStore) -> None:
    upload = store.create("x.csv", 1000, hashlib.sha256(b"x" * 1000).hexdigest()).id
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store._folder), upload],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert store.get(upload).committed_bytes == 500
    assert write(store, upload, 500, b"x" * 500).complete


def test_what_the_system_refuses_is_told_without_a_path(tmp_path: Path) -> None:
    (tmp_path / "uploads").write_text("a file where a folder should be")
    with pytest.raises(UnavailableError, match="cannot be kept: File exists") as caught:
        announce(UploadStore(tmp_path / "uploads", SUFFIXES))
    assert str(tmp_path) not in str(caught.value)
