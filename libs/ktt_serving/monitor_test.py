"""Rows reach the monitoring service, and nothing waits for it."""

from __future__ import annotations

import logging
import os
import socket
import time

import numpy as np
import pytest

from ktt_core.errors import InvalidArgumentError
from ktt_serving import metrics, monitor
from ktt_serving.monitor import MonitorAddress, MonitorPoster, poster_from_environment
from ktt_serving.rows import RowBatch
from ktt_serving.serving_fixtures import FakeMonitor, free_port


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(monitor, "_GATHER_SECONDS", 0.01)
    monkeypatch.setattr(monitor, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(monitor, "_LONGEST_PAUSE", 0.1)


@pytest.fixture
def service():
    made = FakeMonitor()
    yield made
    made.close()


def rows(first, n=1):
    ids = [str(number) for number in range(first, first + n)]
    features = np.ones((n, 2), dtype=np.float32)
    return RowBatch(ids, features, np.zeros((n, 1), dtype=np.float32))


def poster_to(port, queue_rows=10_000):
    return MonitorPoster(MonitorAddress("127.0.0.1", port), queue_rows)


def counted(outcome):
    return metrics.ROWS.labels(outcome)._value.get()


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_rows_arrive_in_order_several_at_a_time(service):
    before = counted("sent")
    poster = poster_to(service.port)
    for number in range(200):
        poster.put(rows(number))
    service.wait_for(200)
    assert service.ids == [str(number) for number in range(200)]
    assert len(service.bodies) < 200
    path, body = service.bodies[0]
    assert path == "/iterate" and body["data"][0] == [None, 1, 1, 1]
    until(lambda: counted("sent") == before + 200)
    poster.close()


def test_rows_wait_for_a_service_that_is_not_there_yet():
    port = free_port()
    failed = metrics.POSTS_FAILED._value.get()
    poster = poster_to(port)
    poster.put(rows(0, 5))
    until(lambda: metrics.POSTS_FAILED._value.get() > failed + 1)
    assert poster._queue.n_rows <= 5
    service = FakeMonitor(port)
    try:
        poster.put(rows(5, 2))
        service.wait_for(7)
        assert service.ids == [str(number) for number in range(7)]
    finally:
        poster.close()
        service.close()


def test_of_too_many_rows_the_newest_are_kept(service):
    before = counted("dropped")
    service.hanging.clear()
    poster = poster_to(service.port, queue_rows=50)
    for number in range(500):
        poster.put(rows(number))
    until(lambda: counted("dropped") > before)
    service.hanging.set()
    until(lambda: service.ids[-1:] == ["499"])
    assert len(service.ids) < 500
    until(lambda: poster._queue.n_rows == 0)
    assert len(service.ids) + counted("dropped") - before == 500
    poster.close()


def test_a_hanging_service_delays_nobody(service):
    service.hanging.clear()
    poster = poster_to(service.port)
    poster.put(rows(0))
    # The thread is in the middle of a post; were it waited for, this would take a minute.
    started = time.monotonic()
    for number in range(1000):
        poster.put(rows(number))
    assert time.monotonic() - started < 30
    service.hanging.set()
    poster.close()


def test_a_post_that_hangs_is_given_up_and_tried_again(service, monkeypatch):
    monkeypatch.setattr(monitor, "_POST_SECONDS", 0.2)
    service.hanging.clear()
    failed = metrics.POSTS_FAILED._value.get()
    poster = poster_to(service.port)
    poster.put(rows(0))
    until(lambda: metrics.POSTS_FAILED._value.get() > failed)
    service.hanging.set()
    until(lambda: "0" in service.ids)
    poster.close()


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_overloaded_service_is_asked_again(service, status):
    service.status = status
    failed = metrics.POSTS_FAILED._value.get()
    poster = poster_to(service.port)
    poster.put(rows(0, 3))
    until(lambda: metrics.POSTS_FAILED._value.get() > failed + 1)
    service.status = 200
    service.wait_for(3)
    assert service.ids == ["0", "1", "2"]
    poster.close()


@pytest.mark.parametrize(
    "answer, told",
    [
        (b'{"error": "data[0] has 5 cells; 6 are needed"}', "'data[0] has 5 cells; 6 are needed'"),
        (b'{"error": "\\u001b[2J"}', r"'\x1b[2J'"),
        (b"<html>", "400 Bad Request"),
        (b"[" * 100_000, "400 Bad Request"),
        (b"[1]", "400 Bad Request"),
    ],
)
def test_rows_that_the_service_refuses_are_not_sent_twice(
    service, caplog, monkeypatch, answer, told
):
    monkeypatch.setattr(logging.getLogger("ktt_serving"), "propagate", True)
    service.status, service.answer = 400, answer
    before = counted("dropped")
    poster = poster_to(service.port)
    poster.put(rows(0, 3))
    until(lambda: counted("dropped") == before + 3)
    service.status = 200
    poster.put(rows(3))
    service.wait_for(1)
    assert service.ids == ["3"]
    assert "400" in caplog.text and told in caplog.text
    poster.close()


def test_what_waits_is_sent_before_the_end(service, monkeypatch):
    monkeypatch.setattr(monitor, "_GATHER_SECONDS", 60)
    poster = poster_to(service.port)
    poster.put(rows(0, 4))
    poster.close(30)
    assert service.ids == ["0", "1", "2", "3"]


def test_the_end_does_not_wait_for_a_dead_service():
    poster = poster_to(free_port())
    poster.put(rows(0))
    started = time.monotonic()
    poster.close()
    assert time.monotonic() - started < 30


def test_a_process_that_forks_sends_its_own_rows_and_no_others(service):
    poster = poster_to(service.port)
    poster.put(rows(0))
    service.wait_for(1)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            poster.put(rows(100))
            poster.close(30)
            os.write(writing, b"done")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 4) == b"done"
    poster.put(rows(1))
    service.wait_for(3)
    assert sorted(service.ids) == ["0", "1", "100"]
    poster.close()


def test_a_closed_connection_is_no_failure(service):
    failed = metrics.POSTS_FAILED._value.get()
    poster = poster_to(service.port)
    poster.put(rows(0))
    service.wait_for(1)
    until(lambda: poster._connection is not None)
    poster._connection.sock.shutdown(socket.SHUT_RDWR)
    poster.put(rows(1))
    service.wait_for(2)
    assert metrics.POSTS_FAILED._value.get() == failed
    poster.close()


def test_the_environment_says_where_the_service_is(monkeypatch):
    for name in ("EVIDENTLY_HOST", "EVIDENTLY_PORT", "KTT_MONITOR", "KTT_MONITOR_QUEUE"):
        monkeypatch.delenv(name, raising=False)
    poster = poster_from_environment()
    assert poster is not None and poster.address == ("localhost", 5001)
    monkeypatch.setenv("EVIDENTLY_HOST", "monitoring")
    monkeypatch.setenv("EVIDENTLY_PORT", "7001")
    monkeypatch.setenv("KTT_MONITOR_QUEUE", "7")
    poster = poster_from_environment()
    assert (
        poster is not None
        and poster.address == ("monitoring", 7001)
        and poster._queue.max_rows == 7
    )
    monkeypatch.setenv("EVIDENTLY_PORT", "http")
    with pytest.raises(InvalidArgumentError, match="EVIDENTLY_PORT"):
        poster_from_environment()
    monkeypatch.setenv("KTT_MONITOR", "0")
    assert poster_from_environment() is None
