"""A worker is a process with the job's lock, whose words come apart from its events."""

from __future__ import annotations

import sys

import pytest

from ktt_jobs.locks import lock_job
from ktt_jobs.sample_server import eventually, is_gone
from ktt_jobs.worker import Worker, describe_death


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "job"


def start(folder, task, spec):
    lock = lock_job(folder)
    assert lock is not None
    request = {
        "task": f"ktt_jobs.sample_tasks:{task}",
        "spec": spec,
        "job_id": "job",
        "attempt": 1,
        "folder": str(folder),
    }
    worker = Worker(request, lock.descriptor, folder / "log.txt")
    lock.release()
    return worker


def read_to_end(worker):
    events = []

    def ended():
        events.extend(worker.read(0.05))
        return worker.ended

    assert eventually(ended)
    return events + worker.drain()


def test_it_holds_the_lock_for_as_long_as_it_lives(folder):
    worker = start(folder, "stubborn", {})
    assert eventually(lambda: worker.read(0.1))
    assert lock_job(folder) is None
    assert worker.close() == -9
    lock = lock_job(folder)
    assert lock is not None
    lock.release()


def test_it_tells_events_and_logs_words(folder):
    worker = start(folder, "noise", {"lines": 3})
    assert read_to_end(worker) == [{"event": "error", "type": "DataError", "message": "enough"}]
    assert [line.split(" x")[0] for line in worker.tail()] == ["line 0", "line 1", "line 2"]
    assert worker.close() == 1
    assert (folder / "log.txt").read_text().count("line") == 3


def test_asked_to_stop_it_cleans_up_and_ends_by_the_signal(folder):
    worker = start(folder, "steps", {"steps": 1000, "pause": 0.01})
    assert eventually(lambda: worker.read(0.1))
    worker.stop(5)
    assert worker.close() == -15


def test_it_ends_when_nobody_holds_its_input(folder):
    worker = start(folder, "stubborn", {})
    assert eventually(lambda: worker.read(0.1))
    worker._process.stdin.close()
    assert eventually(lambda: is_gone(worker.pid))
    worker.close()


def test_nothing_of_the_current_folder_is_imported(folder, tmp_path, monkeypatch):
    for name in ("json.py", "signal.py", "ktt_core.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    worker = start(folder, "echo", {})
    assert read_to_end(worker) == [{"event": "result"}]
    assert worker.close() == 0


def test_it_starts_under_another_main_module(folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["nothing", "--like", "this"])
    worker = start(folder, "echo", {"x": 1})
    assert read_to_end(worker) == [{"event": "result"}]
    worker.close()


@pytest.mark.parametrize(
    ("code", "message", "signal"),
    [(3, "exit code 3", ""), (-9, "SIGKILL", "SIGKILL"), (-40, "signal 40", "signal 40")],
)
def test_deaths_are_named(code, message, signal):
    error = describe_death(code, ("last",), "lower batch_size")
    assert message in error.message and error.signal == signal
    assert ("memory runs out: lower batch_size, or" in error.message) == (signal == "SIGKILL")
    assert error.exit_code == (code if code >= 0 else None) and error.log_tail == ("last",)
