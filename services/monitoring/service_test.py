"""The service in its own process: endpoints, end and restart."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request

import pytest

from monitoring.conftest import (
    CLASSES,
    PATIENCE_SECONDS,
    Model,
    Monitor,
    monitor,
    wait_until,
    write_config,
)

ALL_OF_A_CLASSIFIER = [
    "data_drift",
    "cat_target_drift",
    "classification_performance",
    "prob_classification_performance",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A monitor of a classifier with all monitors that apply, shared by tests."""
    folder = tmp_path_factory.mktemp("served")
    config = write_config(
        folder,
        Model().reference(300),
        list(CLASSES),
        calculation_period_sec=1,
        monitors=ALL_OF_A_CLASSIFIER,
    )
    with monitor(config, "--body-limit-mb=1") as running:
        yield running


def test_it_is_ready_once_evidently_is_loaded_and_computes_at_once(served):
    assert served.get("/health").json == {"status": "ok"}
    wait_until(lambda: served.get("/ready").status == 200)
    metrics = served.wait_computed()
    assert metrics["window_rows"] == 30
    assert metrics["reference_rows"] == 300
    assert metrics["last_computation_timestamp_seconds"] > 0


def test_rows_and_labels_appear_in_the_metrics(served):
    before = served.wait_computed()
    rows = Model(seed=5).rows(30)
    answer = served.post("/iterate", {"data": rows, "ids": [f"r{n}" for n in range(30)]})
    assert (answer.status, answer.json) == (200, {"rows": 30, "repeated": 0})
    best = [CLASSES[max(range(4), key=row[-4:].__getitem__)] for row in rows]
    feedback = [{"id": f"r{n}", "label": label} for n, label in enumerate(best)]
    answer = served.post("/feedback", {"feedback": [*feedback, {"id": "no", "label": "Shoes"}]})
    assert (answer.status, answer.json) == (200, {"joined": 30, "unknown": 1})
    times = int(before['computations_total{outcome="succeeded"}']) + 1
    metrics = served.wait_computed(times)
    wait_until(lambda: served.metrics()["labelled_rows"] == 30)
    metrics = served.metrics()
    assert metrics["rows_received_total"] == 30
    assert metrics['feedback_total{outcome="joined"}'] == 30
    assert metrics['feedback_total{outcome="unknown"}'] == 1
    for name in ALL_OF_A_CLASSIFIER:
        assert metrics[f'drift_alarm{{monitor="{name}"}}'] in (0, 1)
        assert metrics[f'computation_duration_seconds_count{{monitor="{name}"}}'] >= 1
    assert metrics['columns{monitor="data_drift"}'] == 4
    assert metrics['columns{monitor="cat_target_drift"}'] == 2
    assert 0 <= metrics['column_drift_score{column="confidence",monitor="data_drift"}'] <= 1
    assert metrics['column_drifted{column="0",monitor="data_drift"}'] in (0, 1)
    assert metrics['quality{metric="accuracy",monitor="classification_performance"}'] == 1
    assert 'quality{metric="log_loss",monitor="prob_classification_performance"}' in metrics
    for data in ("window", "reference"):
        shares = [metrics[f'class_share{{class_name="{c}",data="{data}"}}'] for c in CLASSES]
        assert sum(shares) == pytest.approx(1)
        assert 0.25 < metrics[f'confidence_mean{{data="{data}"}}'] < 1
    assert 0 < metrics["estimated_accuracy"] <= 1


def test_the_report_is_evidentlys_page(served):
    served.wait_computed()
    answer = served.get("/report")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert b"Drift in column 'confidence'" in answer.body
    assert b"drawDashboard" in answer.body


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("/iterate", b"{", 400, "json"),
        ("/iterate", b"[" * 100_000, 400, "json"),
        ("/iterate", {"data": [[None, 1]]}, 400, "width"),
        ("/iterate", {"data": [[None, "1", 1, 1, 1, 0, 0, 0]]}, 400, "type"),
        ("/iterate", {"data": [["Hats", 1, 1, 1, 1, 0, 0, 0]]}, 400, "label"),
        ("/iterate", b'{"data": [[null, NaN, 1, 1, 1, 0, 0, 0]]}', 400, "value"),
        ("/iterate", b"1" * (1024**2 + 1), 413, "too_large"),
        ("/iterate", b"1" * (3 * 1024**2), 413, "too_large"),
        ("/feedback", {"feedback": [{"id": "a", "label": "Hats"}]}, 400, "label"),
    ],
)
def test_an_invalid_request_is_refused_and_counted_and_changes_nothing(
    served, path, body, status, reason
):
    before = served.metrics()
    answer = served.post(path, body)
    assert answer.status == status
    assert answer.json["error"]
    after = served.metrics()
    name = f'rows_rejected_total{{reason="{reason}"}}'
    assert after[name] == before.get(name, 0) + 1
    for unchanged in ("rows_received_total", "window_rows", "labelled_rows"):
        assert after[unchanged] == before[unchanged]


def _begin_too_large(served, wait=True) -> socket.socket:
    """Start to send 1 GB, and wait for the answer that is sent before its end."""
    client = socket.create_connection(("127.0.0.1", served.port), timeout=30)
    head = "POST /iterate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"
    client.sendall(head.encode() + b"1")
    assert not wait or client.recv(1, socket.MSG_PEEK)
    return client


def test_an_early_answer_reaches_a_client_that_continues_to_send(served):
    with _begin_too_large(served) as client:
        for _ in range(10):
            client.sendall(b"1" * 100_000)
            time.sleep(0.02)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while received := client.recv(65536):
            answer += received
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert json.loads(body)["error"]


def test_a_client_that_neither_sends_nor_closes_is_disconnected(served):
    with _begin_too_large(served) as client:
        while client.recv(65536):
            pass
        begun = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() < begun + 60:
                client.sendall(b"1")
                time.sleep(0.5)


def test_a_client_that_leaves_before_an_early_answer_leaves_no_trace(served):
    reset = struct.pack("ii", 1, 0)
    for _ in range(5):
        with _begin_too_large(served, wait=False) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    served.metrics()
    assert "Traceback" not in served.log()


def test_a_client_that_sends_without_end_is_disconnected(served):
    with _begin_too_large(served) as client, pytest.raises(ConnectionError):
        for _ in range(1000):
            client.sendall(b"1" * 1_000_000)


def test_one_invalid_row_refuses_the_whole_request(served):
    before = served.metrics()
    rows = [*Model().rows(3), [None]]
    assert served.post("/iterate", {"data": rows}).status == 400
    assert served.metrics()["rows_received_total"] == before["rows_received_total"]


def test_a_body_without_a_length_is_bounded_too(served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE_SECONDS)
    chunks = (b"1" * 65_536 for _ in range(40))
    connection.request("POST", "/iterate", chunks, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/iterate", 405), ("POST", "/metrics", 405)],
)
def test_other_errors_are_json_too(served, method, path, status):
    request = urllib.request.Request(served.url(path), method=method)
    answer = served.send(request)
    assert answer.status == status
    assert answer.json["error"]


def test_input_other_than_http_is_refused(served):
    with socket.create_connection(("127.0.0.1", served.port), PATIENCE_SECONDS) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert b"400" in head.splitlines()[0]
    assert json.loads(body)["error"]


def test_nothing_of_a_request_is_in_the_log(served):
    secret = "Zx9secret"
    served.post("/iterate", {"data": [[secret, *[0] * 7]], "ids": [secret]})
    served.post("/iterate", f'{{"data": {secret}'.encode())
    served.post("/feedback", {"feedback": [{"id": secret, "label": secret}]})
    served.get(f"/{secret}")
    assert secret not in served.log()


def test_killed_and_restarted_it_keeps_window_labels_and_report(config, model):
    state = config.parent / "elsewhere"
    other = model.rows(30, shift=5.0)
    ids = [f"r{n}" for n in range(30)]
    with monitor(config, f"--state={state}") as first:
        assert first.post("/iterate", {"data": other, "ids": ids}).status == 200
        first.post("/feedback", {"feedback": [{"id": "r0", "label": "Shoes"}]})
        first.wait_computed()
        wait_until(lambda: first.metrics()['drift_alarm{monitor="data_drift"}'] == 1)
        first.kill()
    with monitor(config, f"--state={state}") as second:
        assert second.get("/report").status == 200
        metrics = second.wait_computed()
        assert metrics["window_rows"] == 30
        assert metrics["labelled_rows"] == 1
        # The rows from before the restart, which differ from the reference's.
        assert metrics['drift_alarm{monitor="data_drift"}'] == 1
        assert second.post("/iterate", {"data": other, "ids": ids}).json["repeated"] == 30
        feedback = [{"id": "r1", "label": "Shoes"}]
        assert second.post("/feedback", {"feedback": feedback}).json["joined"] == 1


def test_no_accepted_row_is_lost_when_it_is_killed(config, model):
    rows = model.rows(400)
    with monitor(config) as first:
        taken = 0
        for place, row in enumerate(rows):
            if place == 200:
                first.process.send_signal(signal.SIGKILL)
            try:
                answer = first.post("/iterate", {"data": [row], "ids": [str(place)]})
            except OSError:
                break
            taken += answer.status == 200
        assert 0 < taken < len(rows)
        first.kill()
    with monitor(config) as second:
        again = second.post(
            "/iterate", {"data": rows[:taken], "ids": [str(n) for n in range(taken)]}
        )
        assert again.json == {"rows": 0, "repeated": taken}


def test_sigterm_ends_it_with_exit_code_0(config):
    with monitor(config) as running:
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE_SECONDS) == 0
    assert '"ending"' in running.log()


def test_a_second_monitor_of_the_same_state_is_refused(config):
    with monitor(config):
        second = Monitor(config)
        assert second.process.wait(PATIENCE_SECONDS) == 2
        second.close()
    assert "another monitor uses the state folder" in second.log()


def test_a_used_port_is_reported(config, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        running = Monitor(config, f"--port={other.getsockname()[1]}")
        assert running.process.wait(PATIENCE_SECONDS) == 2
        running.close()
    assert "cannot listen on" in running.log()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"monitors": ["no_such"]}, "unknown monitor 'no_such'"),
        ({"reference_path": "gone.parquet"}, "gone.parquet does not exist"),
        ({"window_size": 50}, "min_reference_size (30) is less than service.window_size (50)"),
    ],
)
def test_it_refuses_to_start_and_says_why(tmp_path, model, change, said):
    config = write_config(tmp_path, model.reference(60), list(CLASSES), **change)
    running = Monitor(config)
    assert running.process.wait(PATIENCE_SECONDS) == 2
    running.close()
    assert said in running.log().replace("\n", " ")
    assert "Traceback" not in running.log()


def test_an_unwritable_state_is_reported_and_the_window_stays(config, model):
    with monitor(config, "--state", str(config.parent / "state")) as running:
        running.wait_computed()
        database = config.parent / "state" / "state.sqlite"
        # Another process holds the database's lock for longer than any timeout.
        holder = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sqlite3, sys, time\n"
                f"c = sqlite3.connect({str(database)!r}, isolation_level=None)\n"
                "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); time.sleep(600)",
            ],
            stdout=subprocess.PIPE,
        )
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
            answer = running.post("/iterate", {"data": model.rows(2)})
        finally:
            holder.kill()
            holder.communicate()
        assert answer.status == 503
        assert "could not be stored" in answer.json["error"]
        assert running.metrics()["rows_received_total"] == 0
        assert running.post("/iterate", {"data": model.rows(2)}).status == 200


def test_it_runs_from_a_bundle_under_its_other_name(config, model):
    """As the exporter lays it out: the modules as `ktt_monitor`, with the launcher beside them."""
    here = os.path.dirname(os.path.abspath(__file__))
    bundle = config.parent
    (bundle / "ktt_monitor").mkdir()
    for name in os.listdir(here):
        if name.endswith(".py") and not name.endswith("_test.py") and name != "conftest.py":
            with open(os.path.join(here, name), "rb") as file:
                (bundle / "ktt_monitor" / name).write_bytes(file.read())
    with open(os.path.join(here, "bundle", "monitoring.py"), "rb") as file:
        (bundle / "monitoring.py").write_bytes(file.read())
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if "site-packages" in p)
    log_path = bundle / "log.txt"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "monitoring.py", "--port=0"],
            cwd=bundle,
            stdout=log,
            stderr=log,
            env=environment,
        )
        try:
            wait_until(lambda: b"ready to compute" in log_path.read_bytes())
            wait_until(lambda: b'"computed"' in log_path.read_bytes())
        finally:
            process.kill()
            process.wait()
