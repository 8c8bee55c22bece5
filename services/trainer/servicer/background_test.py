"""What a call that ends too early leaves: nothing, and no noise in the log."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import grpc
import pytest

from ktt.trainer.v1 import datasets_pb2
from ktt_core.errors import NotFoundError
from trainer.conftest import TrainerProcess
from trainer.server import TrainerServer
from trainer.servicer import uploads as upload_calls
from trainer.servicer.background import finish_in_background
from trainer.servicer.uploads import UploadCalls
from trainer.uploads import UploadStore

DIGEST = hashlib.sha256(b"x").hexdigest()


def test_an_upload_whose_id_nobody_hears_of_takes_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = UploadCalls()
    store = UploadStore(tmp_path / "uploads", (".csv",))
    calls.trainer = cast(TrainerServer, SimpleNamespace(uploads=store))
    request = datasets_pb2.CreateUploadRequest(file_name="a.csv", size_bytes=1, sha256=DIGEST)
    monkeypatch.setattr(upload_calls, "abandoned", lambda: True)
    calls._create(request)
    assert list((tmp_path / "uploads").iterdir()) == []
    monkeypatch.setattr(upload_calls, "abandoned", lambda: False)
    upload = calls._create(request)
    assert store.get(upload.id) == upload


@pytest.mark.parametrize(
    ("error", "lines"), [(NotFoundError("gone"), 0), (OSError(39, "not empty"), 1)]
)
def test_the_end_of_unwanted_work_is_logged_only_if_it_is_a_bug(
    caplog: pytest.LogCaptureFixture, error: Exception, lines: int
) -> None:
    async def fail() -> None:
        raise error

    async def main() -> None:
        await finish_in_background(asyncio.ensure_future(fail()))

    caplog.set_level(logging.INFO)
    asyncio.run(main())
    assert len(caplog.records) == lines


def test_imports_that_nobody_waits_for_leave_nothing(server: TrainerProcess) -> None:
    source = str(server.workspace.parent / "allowed" / "shop.csv")
    options = datasets_pb2.ImportOptions(text="title", classes="category", sep=" > ")
    for at in range(12):
        request = datasets_pb2.CreateDatasetRequest(
            name=f"late{at}", server_path=source, options=options
        )
        with pytest.raises(grpc.RpcError):
            list(server.calls.CreateDataset(request, timeout=0.02 + at * 0.01))
    imports, deadline = server.workspace / "jobs" / "imports", time.monotonic() + 20
    while list(imports.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(imports.iterdir()) == []
    assert not list((server.workspace / "datasets").glob("late*"))
    assert [line for line in server.lines() if line["level"] in ("error", "critical")] == []
