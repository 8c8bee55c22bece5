"""Locks hold between processes, end with their holder, and are missed where there are none."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ktt_core.locks import is_same_file, locked, take_lock, try_lock

HOLDS = (
    "import os, sys; from pathlib import Path; from ktt_core.locks import locked\n"
    "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
)


@pytest.fixture
def held(tmp_path: Path) -> Any:
    """Return a file whose lock another process holds, and that process."""
    path = tmp_path / "lock"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDS, str(path)]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    yield path, process
    process.kill()
    process.communicate()


def test_a_lock_that_another_process_holds_is_not_taken_until_that_ends(held: Any) -> None:
    path, process = held
    with path.open() as file:
        assert not try_lock(file.fileno())
        assert not try_lock(file.fileno(), shared=True)
        process.kill()
        process.wait()
        assert try_lock(file.fileno())


def test_who_waits_says_so_once_and_gets_the_lock(held: Any) -> None:
    path, process = held
    said: list[str] = []

    def waiting() -> None:
        said.append("waiting")
        process.kill()

    with locked(path, waiting=waiting):
        assert said == ["waiting"]
    with locked(path, waiting=waiting):
        assert said == ["waiting"]


def test_a_shared_lock_is_shared(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as one, (tmp_path / "lock").open() as two:
        assert try_lock(one.fileno(), shared=True) and try_lock(two.fileno(), shared=True)
        assert not try_lock(two.fileno())


def test_a_file_system_without_locks_is_an_error_only_where_a_lock_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path / "lock"):
        ran = True
    assert ran
    with pytest.raises(OSError, match="No locks"), locked(tmp_path / "lock", required=True):
        raise AssertionError
    with (tmp_path / "lock").open() as file:
        for take in (try_lock, take_lock):
            with pytest.raises(OSError, match="No locks"):
                take(file.fileno())


def test_an_error_within_the_block_is_not_taken_for_a_missing_lock(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="within"), locked(tmp_path / "lock"):
        raise OSError("within")


def test_a_name_that_was_removed_or_replaced_leads_no_longer_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("w") as file:
        assert is_same_file(path, file.fileno())
        path.unlink()
        assert not is_same_file(path, file.fileno())
        path.write_text("another")
        assert not is_same_file(path, file.fileno())
