"""Bundles served by real processes, with nothing of the repository to be found by them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import logging
import os
import pickle
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import psutil
import pytest

from ktt_core.decoding import decode, leaf_log_proba
from ktt_packing.packer.packing_fixtures import make_bundle
from ktt_serving.scoring import load_scorer
from ktt_serving.serving_fixtures import (
    LEARNED,
    TAXONOMY,
    FakeMonitor,
    serving,
    write_onnx_artifacts,
    write_tfidf_artifacts,
)

WRITERS = {"tfidf": write_tfidf_artifacts, "onnx": write_onnx_artifacts}
PRODUCTION = ("-m", "bentoml", "serve-gunicorn", "./", "--workers", "2")
DEVELOPMENT = ("-m", "bentoml", "serve", "./")
LAUNCHER = ("start", "--workers", "2")

logging.getLogger("urllib3").setLevel(logging.WARNING)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    return {kind: write(folder / kind) for kind, write in WRITERS.items()}


@pytest.fixture(scope="module")
def bundles(artifacts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return {kind: make_bundle(artifacts[kind], folder / kind, monitored=True) for kind in WRITERS}


@pytest.fixture
def monitor():
    made = FakeMonitor()
    yield made
    made.close()


def expected_answers(artifacts, texts):
    scores = load_scorer(artifacts)(texts)
    decoded = decode([scores.log_proba], TAXONOMY)
    return ["\n".join(best.path) for best, *_ in decoded.iter_predictions()]


def at_once(clients, tasks):
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return list(pool.map(lambda task: task(), tasks))


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("command", [PRODUCTION, DEVELOPMENT], ids=["gunicorn", "development"])
def test_all_are_answered_though_some_ask_badly(kind, command, bundles, artifacts, tmp_path):
    texts = [f"{text} {number}" for number in range(30) for text in LEARNED]
    expected = expected_answers(artifacts[kind], texts)
    with serving(bundles[kind], tmp_path, *command, KTT_MONITOR="0") as server:
        good = [lambda text=text: server.post("/predict", {"text": text}) for text in texts]
        bad = [
            lambda body=body: server.post("/predict", body)
            for body in [b"", b"{", {}, {"text": 1}, {"text": "x" * 1_000_001}, b"[" * 200_000] * 10
        ]
        asked = [task for pair in zip(good, bad + good[:90], strict=True) for task in pair]
        found = at_once(16, asked)
    answers = [found[2 * row] for row in range(len(texts))]
    assert [status for status, *_ in answers] == [200] * len(texts)
    assert [body for _, body, _ in answers] == expected
    refused = [found[2 * row + 1] for row in range(60)]
    assert [status for status, *_ in refused] == [400] * 60
    assert all(list(body) == ["error"] for _, body, _ in refused)
    assert len({headers["x-request-id"] for _, _, headers in found}) == len(found)


def test_many_who_come_first_are_all_answered(bundles, tmp_path):
    # BentoML expects the worst before it has seen the first answers, and by itself turns them away.
    with serving(bundles["tfidf"], tmp_path, KTT_MONITOR="0") as server:
        found = at_once(64, [lambda: server.post("/predict", {"text": "tennis"})] * 200)
    assert {status for status, *_ in found} == {200}


def test_probabilities_are_those_of_the_model(bundles, artifacts, tmp_path):
    with serving(bundles["onnx"], tmp_path, KTT_MONITOR="0") as server:
        _, body, _ = server.post("/predict_proba", {"text": LEARNED[0], "top_k": 3})
    log_proba = load_scorer(artifacts["onnx"])([LEARNED[0]]).log_proba
    decoded = decode([log_proba], TAXONOMY, top_k=3)
    (predictions,) = decoded.iter_predictions()
    assert [tuple(path["path"]) for path in body["predictions"]] == [p.path for p in predictions]
    np.testing.assert_allclose(
        [path["probability"] for path in body["predictions"]],
        [prediction.probability for prediction in predictions],
        rtol=1e-5,
    )
    assert np.isclose(np.exp(leaf_log_proba([log_proba], TAXONOMY)).sum(), 1, atol=1e-5)


@pytest.mark.parametrize("kind", WRITERS)
def test_each_answer_becomes_a_row(kind, bundles, artifacts, monitor, tmp_path):
    port = str(monitor.port)
    with serving(bundles[kind], tmp_path, EVIDENTLY_PORT=port) as server:
        found = at_once(8, [lambda: server.post("/predict", {"text": LEARNED[1]})] * 40)
        server.post("/predict", {"text": 1})
        _, _, headers = server.post("/predict_proba", {"text": LEARNED[1]})
        monitor.wait_for(41)
        counts = server.metrics()
    ids = {headers["x-request-id"] for _, _, headers in found} | {headers["x-request-id"]}
    assert set(monitor.ids) == ids and len(monitor.ids) == 41
    scores = load_scorer(artifacts[kind])([LEARNED[1]])
    row = [*scores.features[0], *np.exp(scores.log_proba[0])]
    for _, body in monitor.bodies:
        assert list(body) == ["data", "ids"]
        for cells in body["data"]:
            assert cells[0] is None
            np.testing.assert_allclose(cells[1:], row, rtol=1e-4, atol=1e-6)
    assert counts['ktt_monitor_rows_total{outcome="sent"}'] <= 41
    assert counts['ktt_monitor_rows_total{outcome="dropped"}'] == 0


def test_rows_of_the_last_moment_still_leave(bundles, monitor, tmp_path):
    port = str(monitor.port)
    with serving(bundles["tfidf"], tmp_path, EVIDENTLY_PORT=port) as server:
        found = at_once(4, [lambda: server.post("/predict", {"text": "men"})] * 20)
    assert set(monitor.ids) == {headers["x-request-id"] for _, _, headers in found}


@pytest.mark.parametrize("how", ["dead", "hanging", "failing"])
def test_a_monitor_that_is_not_there_costs_no_answer(how, bundles, monitor, tmp_path):
    port = str(monitor.port)
    if how == "dead":
        monitor.close()
    elif how == "hanging":
        monitor.hanging.clear()
    else:
        monitor.status = 500
    environment = {"EVIDENTLY_PORT": port, "KTT_MONITOR_QUEUE": "50"}
    with serving(bundles["tfidf"], tmp_path, **environment) as server:
        found = at_once(8, [lambda: server.post("/predict", {"text": "guitars"})] * 400)
        assert {status for status, *_ in found} == {200}
        counts = server.metrics()
        assert counts['ktt_monitor_rows_total{outcome="dropped"}'] > 0
        assert 0 < counts["ktt_monitor_rows_queued"] <= 100
        # What still waits is counted while its worker lives, and not after.
        workers = server.workers()
        assert len(workers) == 2
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while set(workers) & set(server.workers()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert server.post("/predict", {"text": "guitars"})[0] in (200, 503)
        assert server.metrics()["ktt_monitor_rows_queued"] <= 1
    assert server.logs().count("cannot be reached") <= 8


def test_no_answer_is_lost_when_a_worker_is_killed(bundles, artifacts, monitor, tmp_path):
    expected = dict(zip(LEARNED, expected_answers(artifacts["tfidf"], LEARNED), strict=True))
    statuses, wrong, stop = [], [], threading.Event()
    with serving(bundles["tfidf"], tmp_path, EVIDENTLY_PORT=str(monitor.port)) as server:

        def client(number):
            while not stop.is_set():
                text = LEARNED[number % len(LEARNED)]
                status, body, _ = server.post("/predict", {"text": text})
                statuses.append(status)
                if status == 200 and body != expected[text]:
                    wrong.append(body)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        killed = set()
        for _ in range(3):
            time.sleep(1)
            for worker in server.workers()[:1]:
                os.kill(worker, signal.SIGKILL)
                killed.add(worker)
        time.sleep(1)
        deadline = time.monotonic() + 60
        while len(server.workers()) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        stop.set()
        for thread in threads:
            thread.join()
        assert killed and not killed & set(server.workers())
        assert server.post("/predict", {"text": LEARNED[0]})[1] == expected[LEARNED[0]]
        counts = server.metrics()
    # A request whose worker died is told so (500 if in the middle of the answer): it is not
    # acknowledged, and may be asked again.
    assert not wrong
    assert set(statuses) <= {200, 500, 503} and statuses.count(200) > 0
    key = 'ktt_requests_total{code="200",endpoint="predict"}'
    # Counts of workers that are gone still count.
    assert counts[key] == statuses.count(200) + 1


@pytest.mark.parametrize("command", [PRODUCTION, DEVELOPMENT, LAUNCHER], ids=["g", "d", "l"])
def test_no_log_has_a_text(command, bundles, monitor, tmp_path):
    secret = "XYZZY-PLUGH"
    monitor.status = 500
    environment = {"EVIDENTLY_PORT": str(monitor.port)}
    with serving(bundles["tfidf"], tmp_path, *command, **environment) as server:
        assert server.post("/predict", {"text": secret})[0] == 200
        assert server.post("/predict_proba", {"text": secret})[0] == 200
        for body in ({"text": [secret]}, {secret: secret}, f'"{secret}'.encode()):
            assert server.post("/predict_proba", body)[0] == 400
        server.get(f"/predict?text={secret}")
        server.post("/feedback", {"request_id": "1", "text": secret})
        server.post("/predict", json.dumps({"text": secret}).encode(), **{"Content-Encoding": "x"})
        server.metrics()
    assert secret not in server.logs()
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                assert secret.encode() not in file.read(), name


def test_errors_are_counted(bundles, tmp_path):
    with serving(bundles["tfidf"], tmp_path, KTT_MONITOR="0") as server:
        before = server.metrics()
        assert before['ktt_requests_total{code="500",endpoint="predict"}'] == 0
        for _ in range(3):
            server.post("/predict", {"text": "a"})
        for _ in range(2):
            server.post("/predict", b"{")
        server.post("/predict_proba", {"text": "a", "top_k": 0})
        server.get("/nowhere")
        page = server.get("/metrics")[1]
        counts = server.metrics()
    for labels, number in {
        'code="200",endpoint="predict"': 3,
        'code="400",endpoint="predict"': 2,
        'code="400",endpoint="predict_proba"': 1,
        'code="404",endpoint="other"': 1,
    }.items():
        assert counts[f"ktt_requests_total{{{labels}}}"] == number
    assert counts['ktt_request_duration_seconds_count{endpoint="predict"}'] == 5
    assert counts["ktt_confidence_count"] == counts["ktt_model_duration_seconds_count"] == 3
    labels = 'dataset="toys",model="tfidf_hsgd",version="20260131T123456"'
    assert counts[f"ktt_model_info{{{labels}}}"] == 1
    assert "# TYPE ktt_requests_total counter" in page
    assert "BENTOML_TfidfHSGDService_mb_request_total" in page


class Command:
    """A pickle that makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("command", [PRODUCTION, DEVELOPMENT, LAUNCHER], ids=["g", "d", "l"])
def test_a_stranger_s_pickle_is_not_run(command, bundles, tmp_path):
    body = pickle.dumps(Command(tmp_path / "ran"))
    with serving(bundles["tfidf"], tmp_path / "home", *command) as server:
        # BentoML relays the second of these, follows its redirect, and takes the body for a batch.
        for path in ("/predict", "//predict", "/predict/", "/x/../predict", "/%2fpredict"):
            status, *_ = server.post(path, body, **{"BentoML-Is-Merged-Request": "true"})
            assert status >= 400
        assert server.post("/predict", {"text": "a"})[0] == 200
    assert not (tmp_path / "ran").exists()


def test_the_launcher_answers_at_the_edge(bundles, tmp_path):
    with serving(bundles["tfidf"], tmp_path, *LAUNCHER, KTT_MONITOR="0") as server:
        assert server.post("/predict", {"text": "a"})[0] == 200
        for number in range(50):
            assert server.get(f"/wp-{number}")[0] == 404
        status, body, _ = server.post("/predict", b'{"text": "' + b"a" * 6_100_000 + b'"}')
        assert status == 413 and "too large" in body["error"]
        for path in ("/predict", "/predict_proba", "/predict?text=a"):
            status, body, headers = server.get(path)
            assert (status, headers["allow"]) == (405, "POST") and "/try" in body["error"]
        for path in ("/", "/model", "/metrics", "/try", "/healthz"):
            status, body, headers = server.post(path, {"text": "a"})
            assert (status, headers["allow"]) == (405, "GET, HEAD") and list(body) == ["error"]
        for path in ("/try", "/try/", "/try/app.js", "/model", "/healthz"):
            assert server.get(path)[0] == 200, path
        status, _, headers = server.get("/")
        assert (status, headers["location"]) == (302, "try")
        for path in ("/docs", "/docs.json", "/metadata", "/static_content/main.css", "/feedback"):
            for status, body, _ in (server.get(path), server.post(path, {"text": "a"})):
                assert (status, body) == (404, {"error": "404 Not Found"}), path
        counts = server.metrics()
    assert counts['ktt_requests_total{code="404",endpoint="other"}'] == 60
    assert counts['ktt_requests_total{code="413",endpoint="predict"}'] == 1
    assert not [key for key in counts if "wp-" in key]
    assert "Traceback" not in server.logs()


SECRET = b"XYZZY-PLUGH"
_HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
_BODY = b'{"text": "' + SECRET + b'"}'
_LENGTH = b"Content-Length: %d\r\n" % len(_BODY)
# What comes on a connection, and the status of the answer; none if it may end without one.
ABUSE = {
    "a header that is not UTF-8": (_HEAD + _LENGTH + b"X-A: \xff\xfe\r\n\r\n" + _BODY, 400),
    "a name that is not": (_HEAD + _LENGTH + b"X-\xff: a\r\n\r\n" + _BODY, 400),
    "no deflate": (_HEAD + _LENGTH + b"Content-Encoding: deflate\r\n\r\n" + _BODY, 415),
    "no gzip": (_HEAD + _LENGTH + b"Content-Encoding: gzip\r\n\r\n" + _BODY, 415),
    "no chunks": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + _BODY, 400),
    "chunks that end": (_HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + _BODY, 400),
    "two lengths": (_HEAD + _LENGTH + b"Content-Length: 5\r\n\r\n" + _BODY, 400),
    "a length that is none": (_HEAD + b"Content-Length: x\r\n\r\n" + _BODY, 400),
    "a large length": (_HEAD + b"Content-Length: 999999999999\r\n\r\n" + _BODY, 413),
    "an impossible host": (b"GET /model HTTP/1.1\r\nHost: [::1\r\n\r\n", 200),
    "a host with a port that is none": (b"GET /try HTTP/1.1\r\nHost: a:b:c\r\n\r\n", 200),
    "a host of controls": (b"GET /model HTTP/1.1\r\nHost: a\x01b\r\n\r\n", 400),
    "two hosts": (_HEAD + b"Host: other\r\n" + _LENGTH + b"\r\n" + _BODY, 400),
    "no host": (b"GET /model HTTP/1.1\r\n\r\n", 400),
    "an impossible address": (b"GET http://[::1/predict HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "an address of another": (b"GET http://a.b/model HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    "a byte in the address": (b"GET /model\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "many headers": (_HEAD + b"".join(b"a%d: b\r\n" % n for n in range(100_000)), 400),
    "a long header": (_HEAD + b"X-A: " + SECRET * 10_000 + b"\r\n\r\n", 400),
    "a long line": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "no HTTP": (_BODY + b"\r\n\r\n", 400),
    "another HTTP": (b"GET /model HTTP/9.9\r\nHost: a\r\n\r\n", 400),
    "a method that is none": (b"BREW /predict HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a method": (b"DELETE /try HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "an expectation": (_HEAD + _LENGTH + b"Expect: " + SECRET + b"\r\n\r\n" + _BODY, 417),
    "an upgrade": (b"GET /model HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                   b"Upgrade: websocket\r\n\r\n", 200),
    "another script": (b"GET /model HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /x\r\n\r\n", 200),
    "a batch": (_HEAD + _LENGTH + b"BentoML-Is-Merged-Request: true\r\n\r\n" + _BODY, 200),
    "what is no text": (_HEAD + b"Content-Length: 6\r\n\r\n{\"a\xff\"}", 400),
}  # fmt: skip


def exchanged(server, sent, seconds=30):
    """Return all that comes back on a connection of its own."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        found = b""
        # The other end may close before it has all.
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(65536):
                found += data
        return found


def test_whatever_comes_is_answered_in_json_and_logged_nowhere(bundles, tmp_path):
    wrong = {}
    with serving(bundles["tfidf"], tmp_path, *LAUNCHER, KTT_MONITOR="0") as server:
        pool = concurrent.futures.ThreadPoolExecutor(len(ABUSE))
        found = pool.map(lambda abuse: exchanged(server, abuse[0]), ABUSE.values())
        for (name, (_, status)), answer in zip(ABUSE.items(), found, strict=True):
            head, _, body = answer.partition(b"\r\n\r\n")
            if head.split()[1:2] != [b"%d" % status]:
                wrong[name] = answer[:300]
            elif status >= 400 and list(json.loads(body)) != ["error"]:
                wrong[name] = answer[:300]
        assert server.post("/predict", {"text": "men"})[0] == 200
        counts = server.metrics()
    assert wrong == {}
    assert not [key for key in counts if 'code="500"' in key and counts[key]]
    logs = server.logs()
    assert "Traceback" not in logs and "failed" not in logs
    assert SECRET.decode() not in logs and "b: b" not in logs


def test_no_log_of_a_busy_abused_service_has_a_word_of_a_text(bundles, monitor, tmp_path):
    words = [f"xyzzy{number}plugh" for number in range(40)]
    monitor.status = 500
    environment = {"EVIDENTLY_PORT": str(monitor.port)}
    with serving(bundles["tfidf"], tmp_path, *LAUNCHER, **environment) as server:
        texts = [f"{word} men" for word in words] + [f"{word} a " * 40_000 for word in words[:4]]
        asked: list[Callable[[], Any]] = []
        asked += [partial(server.post, "/predict", {"text": text}) for text in texts] * 3
        asked += [lambda: server.post("/predict_proba", {"texts": texts[:40]})] * 5
        abuse = [sent.replace(SECRET, words[7].encode()) for sent, _ in ABUSE.values()]
        asked += [partial(exchanged, server, sent) for sent in abuse] * 2
        asked += [lambda: server.post(f"/predict?text={words[8]}", {"text": words[9:11]})] * 5
        asked += [lambda: server.get(f"/{words[8]}?text={words[8]}")] * 5
        # One of those that answer dies on its batch.
        asked.insert(len(asked) // 2, lambda: os.kill(server.workers()[0], signal.SIGKILL))
        at_once(24, asked)
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                content = file.read()
            assert not [word for word in words if word.encode() in content], name


def test_who_sends_slowly_or_goes_stops_nobody(bundles, tmp_path):
    with serving(bundles["tfidf"], tmp_path, *LAUNCHER, KTT_MONITOR="0") as server:
        half = []
        for number in range(300):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            begun = (
                _HEAD, _HEAD + _LENGTH + b"\r\n" + _BODY[:9],
                _HEAD + b"Content-Length: 6000000\r\n\r\n" + b"a" * 100_000,
            )  # fmt: skip
            connection.sendall(begun[number % 3])
            half.append(connection)
        drip, began = half[0], time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 60:
                drip.sendall(b"X")
                started = time.monotonic()
                assert server.post("/predict", {"text": "men"})[0] == 200
                assert time.monotonic() - started < 2
                time.sleep(0.2)
        # Headers that do not come to an end are not waited for.
        assert time.monotonic() - began < 30
        for connection in half:
            connection.close()
        # Nor is anybody counted as refused.
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            counts = server.metrics()
            if counts.get('ktt_requests_total{code="499",endpoint="predict"}') == 200:
                break
            time.sleep(0.5)
    assert counts['ktt_requests_total{code="499",endpoint="predict"}'] == 200
    assert not [key for key in counts if 'code="429"' in key or 'code="503"' in key]
    assert "Traceback" not in server.logs()


@pytest.mark.parametrize("command", [LAUNCHER, DEVELOPMENT], ids=["l", "d"])
def test_a_list_of_texts_is_answered_as_its_texts_are(
    command, bundles, artifacts, monitor, tmp_path
):
    texts = [f"{LEARNED[number % 5]} {number}" for number in range(1000)]
    with serving(bundles["tfidf"], tmp_path, *command, EVIDENTLY_PORT=str(monitor.port)) as server:
        several = {"texts": texts, "top_k": 1}
        found = at_once(2, [lambda: server.post("/predict_proba", several)] * 2)
        _, single, headers = server.post("/predict_proba", {"text": texts[7], "top_k": 1})
        refused = server.post("/predict_proba", {"texts": [*texts[:99], ""]})
        monitor.wait_for(2001)
        counts = server.metrics()
    expected = expected_answers(artifacts["tfidf"], texts)
    for status, body, _ in found:
        assert status == 200
        paths = [answer["predictions"][0]["path"] for answer in body["answers"]]
        assert ["\n".join(path) for path in paths] == expected
        (best,) = body["answers"][7]["predictions"]
        assert best["path"] == single["predictions"][0]["path"]
        assert best["probability"] == pytest.approx(single["predictions"][0]["probability"], 1e-5)
    ids = [answer["id"] for _, body, _ in found for answer in body["answers"]]
    assert sorted(monitor.ids) == sorted([*ids, headers["x-request-id"]])
    assert refused[:2] == (400, {"error": '"texts"[99] is empty', "text": 99})
    # To the outside it is one request, whatever became of it within.
    assert counts['ktt_requests_total{code="200",endpoint="predict_proba"}'] == 3
    assert counts['ktt_requests_total{code="400",endpoint="predict_proba"}'] == 1
    assert counts["ktt_confidence_count"] == 2001


def test_nobody_waits_for_a_list_of_somebody_else(bundles, tmp_path):
    """Single requests are answered while lists never end, and lists while single ones never do."""
    several = {"texts": [f"{text} {n}" for n in range(200) for text in LEARNED], "top_k": 1}
    stop = threading.Event()
    with serving(bundles["onnx"], tmp_path, *LAUNCHER, KTT_MONITOR="0") as server:
        lists: list[tuple[int, float]] = []
        singles: list[tuple[int, float]] = []

        def client(body, found):
            while not stop.is_set():
                started = time.monotonic()
                status, *_ = server.post("/predict_proba", body)
                found.append((status, time.monotonic() - started))

        threads = [threading.Thread(target=client, args=(several, lists)) for _ in range(3)]
        threads += [
            threading.Thread(target=client, args=({"text": "men"}, singles)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        time.sleep(8)
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in lists + singles} == {200}
    assert len(lists) >= 3 and len(singles) > 20
    waited, whole = (np.median([seconds for _, seconds in found]) for found in (singles, lists))
    assert waited < whole / 4


def long_texts(count):
    return [f"{number} {' '.join(LEARNED * 20_000)}"[:960_000] for number in range(count)]


def test_nobody_waits_for_long_texts_of_others(bundles, tmp_path):
    """A short text is answered at once, whatever sixty clients send, and no worker is killed."""
    stop = threading.Event()
    with serving(bundles["tfidf"], tmp_path, *LAUNCHER, KTT_MONITOR="0") as server:
        before = two_workers(server)
        found: list[int] = []

        def client(number, text):
            path = ("/predict", "/predict_proba")[number % 2]
            while not stop.is_set():
                # The service ends before they are all answered.
                with contextlib.suppress(OSError, http.client.HTTPException):
                    found.append(server.post(path, {"text": text})[0])

        threads = [
            threading.Thread(target=client, args=asked) for asked in enumerate(long_texts(60))
        ]
        for thread in threads:
            thread.start()
        waited = []
        ends = time.monotonic() + 10
        while time.monotonic() < ends:
            started = time.monotonic()
            status, *_ = server.post("/predict", {"text": "a novel of men running for shoes"})
            waited.append(time.monotonic() - started)
            assert status == 200
            time.sleep(0.1)
        stop.set()
        assert server.workers() == before
        assert set(found) == {200}
    for thread in threads:
        thread.join()
    assert max(waited) < 2


def test_the_launcher_ends_as_it_is_told_and_its_last_rows_leave(bundles, monitor, tmp_path):
    port = str(monitor.port)
    with serving(bundles["tfidf"], tmp_path, *LAUNCHER, EVIDENTLY_PORT=port) as server:
        found = at_once(4, [lambda: server.post("/predict", {"text": "men"})] * 20)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
    assert set(monitor.ids) == {headers["x-request-id"] for _, _, headers in found}


def test_the_launcher_ends_if_what_answers_ends(bundles, tmp_path):
    with serving(bundles["tfidf"], tmp_path, *LAUNCHER, KTT_MONITOR="0") as server:
        parents = {psutil.Process(worker).ppid() for worker in server.workers()}
        assert len(parents) == 1 and server.process.pid not in parents
        os.kill(parents.pop(), signal.SIGKILL)
        # So that what started the container starts it again.
        assert server.process.wait(60) == 1


def test_a_service_that_cannot_start_ends_and_says_why(artifacts, tmp_path):
    inference = make_bundle(artifacts["tfidf"], tmp_path / "bundle")
    (weights,) = inference.glob("*/artifacts/model/weights.npz")
    weights.write_bytes(b"damaged")
    with pytest.raises(AssertionError, match=r"the service ended(.|\n)*weights.npz|the model in"):
        with serving(inference, tmp_path / "home", *LAUNCHER):
            pass


def two_workers(server):
    """Return the processes that answer, once there are two: the service is up with the first."""
    deadline = time.monotonic() + 60
    while len(found := server.workers()) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(found) == 2
    return found


def family(server):
    """Return a service's processes."""
    first = psutil.Process(server.process.pid)
    return [first, *first.children(recursive=True)]


def listening(server):
    """Return the addresses that a service's processes listen on, and files if they do on those."""
    return {
        connection.laddr if connection.family == socket.AF_UNIX else tuple(connection.laddr)
        for process in family(server)
        for connection in process.net_connections("all")
        if connection.status == psutil.CONN_LISTEN
        or (connection.family == socket.AF_UNIX and connection.laddr)
        or connection.type == socket.SOCK_DGRAM
    }


@pytest.mark.parametrize(
    ("options", "host"),
    [((), "127.0.0.1"), (("--host", "0.0.0.0"), "0.0.0.0")],
    ids=["here", "all"],
)
def test_a_bundle_s_own_command_listens_where_it_is_told_to_and_nowhere_else(
    options, host, bundles, tmp_path
):
    with serving(bundles["tfidf"], tmp_path, "start", *options, KTT_MONITOR="0") as server:
        assert server.post("/predict", {"text": "men"})[0] == 200
        two_workers(server)
        found = listening(server)
        ours = (host, server.port)
        assert ours in found
        (file,) = found - {ours}
        # Nobody else comes as far as the file.
        assert stat.S_IMODE(os.stat(os.path.dirname(file)).st_mode) == 0o700
    assert not os.path.exists(os.path.dirname(file))


@pytest.mark.parametrize("killed", ["launcher", "master"])
def test_processes_end_with_the_one_that_started_them(killed, bundles, tmp_path):
    with serving(bundles["tfidf"], tmp_path, *LAUNCHER, KTT_MONITOR="0") as server:
        workers = two_workers(server)
        first, *others = family(server)
        assert len(others) == 4
        (master,) = {psutil.Process(worker).ppid() for worker in workers}
        gone = others if killed == "launcher" else [psutil.Process(pid) for pid in workers]
        os.kill(first.pid if killed == "launcher" else master, signal.SIGKILL)
        _, alive = psutil.wait_procs(gone, timeout=5)
        assert not alive


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "example.org"], "must be an address of this machine"),
        (["--port", "0"], "whole number from 1 to 65535"),
        (["--workers", "none"], "whole number from 1"),
        (["--wrong"], "No such option"),
    ],
)
def test_a_wrong_option_is_told(bundles, tmp_path, options, message):
    done = start(bundles["tfidf"], tmp_path, *options)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_python_without_the_packages_is_told_what_to_do(bundles, tmp_path):
    done = start(bundles["tfidf"], tmp_path, python=["-I", "-S"])
    assert done.returncode == 1
    assert "pip install --no-deps --require-hashes -r requirements.txt" in done.stderr


def start(inference, home, *options, python=()):
    packages = [path for path in sys.path if path and "site-packages" in path]
    return subprocess.run(
        [sys.executable, *python, inference / "start", *options],
        env={"HOME": str(home), "PATH": os.defpath, "PYTHONPATH": os.pathsep.join(packages)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
    )
