"""Who starts a server hears when it takes calls, as systemd has it."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import pytest

from ktt_rpc.readiness import Readiness


@pytest.mark.parametrize("abstract", [False, True])
def test_the_socket_hears_of_the_start_and_of_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("" if abstract else str(tmp_path / "notify"))
        name = listener.getsockname()
        path = "@" + name[1:].decode() if abstract else name
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        readiness = Readiness()
        assert "NOTIFY_SOCKET" not in os.environ
        readiness.ready("127.0.0.1:50051")
        assert listener.recv(1000).decode().splitlines() == ["READY=1", "STATUS=127.0.0.1:50051"]
        readiness.stopping()
        assert listener.recv(1000) == b"STOPPING=1\n"


def test_nobody_who_listens_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with caplog.at_level(logging.WARNING):
        Readiness().ready("127.0.0.1:50051")
    assert "cannot be told" in caplog.text
    # It was taken out of the environment.
    caplog.clear()
    Readiness().ready("127.0.0.1:50051")
    assert not caplog.records
