"""A service as BentoML's workers call it, batch by batch."""

from __future__ import annotations

import json
import logging

import bentoml
import numpy as np
import pytest
from bentoml.server.api_server import BentoAPIServer
from bentoml.types import HTTPRequest
from gunicorn.workers.sync import SyncWorker

from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import UnsupportedError
from ktt_serving import metrics
from ktt_serving.adapters import JsonAnswers, TextRequests
from ktt_serving.artifact import ModelFolder
from ktt_serving.bentoml_patches import gunicorn_server
from ktt_serving.bentoml_patches.gunicorn_server import know_when_it_works
from ktt_serving.identity import Identity, write_identity
from ktt_serving.scores import Scores
from ktt_serving.service import ClassifierService
from ktt_serving.serving_fixtures import TAXONOMY

NUMBERS = np.zeros((1, TAXONOMY.n_leaves), dtype=np.float32)


class Scorer:
    """Prefers the leaf whose number a text begins with."""

    taxonomy = TAXONOMY

    def __init__(self):
        self.calls = []

    def __call__(self, texts):
        self.calls.append(list(texts))
        scores = np.zeros((len(texts), TAXONOMY.n_leaves), dtype=np.float32)
        for row, text in enumerate(texts):
            if "fails" in text:
                raise RuntimeError(f"cannot read {text}")
            if "diverges" in text:
                scores[row] = np.nan
            else:
                scores[row, int(text[0])] = 3.0
        with np.errstate(invalid="ignore"):
            bad = np.isnan(scores).any(axis=1)
            scores[~bad] = leaf_log_proba([scores[~bad]], TAXONOMY)
        return Scores(scores, np.ones((len(texts), 2), dtype=np.float32))


@bentoml.artifacts([ModelFolder("model")])
class TestedService(ClassifierService):
    """A service of a model that is there already."""

    __test__ = False

    @bentoml.api(input=TextRequests(), output=JsonAnswers(), batch=True)
    def predict(self, questions, tasks):
        """Answer with names."""
        return self.answer_names(questions, tasks)

    @bentoml.api(input=TextRequests(options=True), output=JsonAnswers(), batch=True)
    def predict_proba(self, questions, tasks):
        """Answer with paths."""
        return self.answer_paths(questions, tasks)


@pytest.fixture
def service():
    made = TestedService()
    made.scorer = Scorer()
    made.identity = Identity("model", "data", "Model", "1")
    return made


def ask(service, api, *bodies):
    requests = [
        HTTPRequest((), body if isinstance(body, bytes) else json.dumps(body).encode())
        for body in bodies
    ]
    responses = service.get_inference_api(api).handle_batch_request(requests)
    return [(response.status, json.loads(response.body)) for response in responses]


def count(endpoint, code):
    return metrics.REQUESTS.labels(endpoint, str(code))._value.get()


def test_answers_are_class_names_line_by_line(service):
    answers = ask(service, "predict", {"text": "0"}, {"text": "2"}, {"text": "3 x"})
    assert answers == [(200, "a\nb\nc"), (200, "a\ne"), (200, "f")]
    assert service.scorer.calls == [["0", "2", "3 x"]]


def test_a_bad_request_fails_alone(service):
    before = count("predict", 200), count("predict", 400)
    answers = ask(
        service, "predict", {"text": "0"}, b"{", {"text": 1}, {"text": "4"}, b"[" * 100_000, {}
    )
    assert [status for status, _ in answers] == [200, 400, 400, 200, 400, 400]
    assert answers[0][1] == "a\nb\nc" and answers[3][1] == "g\nh"
    assert all(set(body) == {"error"} for status, body in answers if status == 400)
    assert (count("predict", 200), count("predict", 400)) == (before[0] + 2, before[1] + 4)


def test_a_batch_of_bad_requests_never_reaches_the_model(service):
    assert [status for status, _ in ask(service, "predict", b"", b"{}")] == [400, 400]
    assert service.scorer.calls == []


@pytest.mark.parametrize("what", ["fails", "diverges"])
@pytest.mark.parametrize("api", ["predict", "predict_proba"])
def test_a_text_on_which_the_model_fails_fails_alone(service, api, what, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("ktt_serving"), "propagate", True)
    answers = ask(service, api, {"text": "0"}, {"text": f"1 {what} SECRET"}, {"text": "2"})
    assert [status for status, _ in answers] == [200, 500, 200]
    if api == "predict":
        assert answers[2][1] == "a\ne"
    else:
        assert answers[2][1]["predictions"][0]["path"] == ["a", "e"]
    # The error can be found in the log, which does not say what was asked.
    number = answers[1][1]["error"].rpartition(" ")[2].rstrip(")")
    assert number in caplog.text
    assert "SECRET" not in caplog.text and "SECRET" not in str(answers)


def test_every_answer_has_its_own_id(service):
    requests = [HTTPRequest((), b'{"text": "0"}')] * 3
    responses = service.get_inference_api("predict").handle_batch_request(requests)
    assert len({response.headers["X-Request-Id"] for response in responses}) == 3


def test_paths_come_with_probabilities_as_each_request_asks(service):
    answers = ask(
        service,
        "predict_proba",
        {"text": "0"},
        {"text": "0", "top_k": 2},
        {"text": "1", "top_k": 1, "min_confidence": 0.9},
        {"text": "1", "top_k": 9},
    )
    lists = [body["predictions"] for _, body in answers]
    assert [len(paths) for paths in lists] == [5, 2, 1, 5]
    assert lists[0][0] == {"path": ["a", "b", "c"], "probability": pytest.approx(0.834, abs=1e-3)}
    assert lists[2][0]["path"] == ["a"]
    assert sum(path["probability"] for path in lists[3]) == pytest.approx(1, abs=1e-5)
    assert lists[1] == lists[0][:2]


def test_a_list_of_texts_is_answered_with_a_list(service):
    several = {"texts": ["0", "2", "3 x"], "top_k": 2}
    answers = ask(service, "predict_proba", {"text": "2", "top_k": 2}, several, {"texts": ["0"]})
    assert [status for status, _ in answers] == [200] * 3
    single, several, one = (body for _, body in answers)
    assert list(several) == list(one) == ["answers"]
    paths = [answer["predictions"][0]["path"] for answer in several["answers"]]
    assert paths == [["a", "b", "c"], ["a", "e"], ["f"]]
    assert several["answers"][1]["predictions"] == single["predictions"]
    assert [list(answer) for answer in several["answers"]] == [["id", "predictions"]] * 3
    assert len(one["answers"]) == 1
    # Together they were one call of the model.
    assert service.scorer.calls == [["2", "0", "2", "3 x", "0"]]


def test_a_list_is_no_question_for_the_class_names_alone(service):
    ((status, body),) = ask(service, "predict", {"texts": ["0", "1"]})
    assert status == 400 and "/predict_proba" in body["error"]


def test_a_text_of_a_list_that_cannot_be_answered_is_named(service):
    empty, good = ask(service, "predict_proba", {"texts": ["0", " "]}, {"text": "0"})
    assert empty == (400, {"error": '"texts"[1] is empty', "text": 1})
    assert good[0] == 200


def test_a_list_with_a_text_on_which_the_model_fails_fails_alone(service):
    several = {"texts": ["0", "1", "2 fails", "3"]}
    one, failed, other = ask(
        service, "predict_proba", {"texts": ["1", "2"]}, several, {"text": "0"}
    )
    assert one[0] == other[0] == 200
    assert [answer["predictions"][0]["path"][-1] for answer in one[1]["answers"]] == ["d", "e"]
    assert failed[0] == 500 and failed[1]["text"] == 2
    # What comes after it is not computed for nobody.
    assert service.scorer.calls[-1] == ["0"] and ["3"] not in service.scorer.calls


def test_a_long_list_is_several_calls_of_the_model(service, monkeypatch):
    monkeypatch.setattr(service.get_inference_api("predict_proba"), "mb_max_batch_size", 4)
    texts = [f"{number % 5} {number}" for number in range(11)]
    ((status, body),) = ask(service, "predict_proba", {"texts": texts, "top_k": 1})
    assert status == 200 and len(body["answers"]) == 11
    assert list(map(len, service.scorer.calls)) == [4, 4, 3]
    paths = [answer["predictions"][0]["path"] for answer in body["answers"]]
    assert paths == [list(TAXONOMY.leaf_paths[int(text[0])]) for text in texts]


def test_long_texts_are_several_calls_of_the_model(service):
    short, long = ["1", "2 a", "3"], ["1" * 40_000, "2" * 960_000, "3" * 40_000]
    texts = [*short, *long, *short]
    found = ask(service, "predict", *({"text": text} for text in texts))
    assert [body for _, body in found] == [
        ask(service, "predict", {"text": text[0]})[0][1] for text in texts
    ]
    calls = [[len(text) for text in call] for call in service.scorer.calls[:4]]
    assert calls == [[1, 3, 1, 40_000], [960_000], [40_000, 1, 3, 1], [1]]


def test_gunicorn_is_told_of_every_call_so_that_it_kills_no_worker_that_gets_on(
    service, monkeypatch
):
    told = []

    class Worker(SyncWorker):
        def __init__(self):
            pass

        def notify(self):
            told.append(len(service.scorer.calls))

    def handle_request(self):
        ask(service, "predict_proba", {"texts": ["1" * 50_000, "2", "3" * 50_000, "0" * 70_000]})

    monkeypatch.setattr(SyncWorker, "handle_request", handle_request)
    know_when_it_works()
    monkeypatch.setattr(gunicorn_server, "_notify", None)
    Worker().handle_request()
    assert told == [1, 2, 3]


def test_every_text_of_a_list_is_a_row_that_the_answer_names(service, monkeypatch):
    told = []
    monkeypatch.setattr(
        service, "_poster", type("Poster", (), {"put": lambda _, rows: told.append(rows)})()
    )
    requests = [HTTPRequest((), b'{"texts": ["0", "1", "0"]}'), HTTPRequest((), b'{"text": "2"}')]
    several, single = service.get_inference_api("predict_proba").handle_batch_request(requests)
    ids = [answer["id"] for answer in json.loads(several.body)["answers"]]
    (rows,) = told
    assert list(rows.ids) == [*ids, single.headers["X-Request-Id"]]
    assert len(set(rows.ids)) == 4 and several.headers["X-Request-Id"] not in rows.ids


def test_a_log_of_predictions_has_no_text(service):
    records = []

    class Keep(logging.Handler):
        def emit(self, record):
            records.append(record.getMessage())

    log = logging.getLogger("bentoml.prediction")
    assert log.disabled
    log.disabled, level = False, log.level
    log.setLevel(logging.INFO)
    handler = Keep()
    log.addHandler(handler)
    try:
        ask(service, "predict", {"text": "0 SECRET"})
    finally:
        log.removeHandler(handler)
        log.disabled = True
        log.setLevel(level)
    # Even an operator who switches it on finds ids there.
    assert records and "SECRET" not in str(records) and "a\nb" not in str(records)


@pytest.fixture
def client(service):
    return BentoAPIServer(service).app.test_client()


@pytest.mark.parametrize(
    "attributes, error",
    [
        ({"taxonomy": None}, "a Wrong without a `taxonomy`"),
        ({"__call__": lambda _, texts: "g"}, "answers with a str"),
        ({"__call__": lambda _, texts: Scores(NUMBERS[:, :4], NUMBERS)}, r"\(1, 4\), not \(1, 5\)"),
        ({"__call__": lambda _, texts: Scores(NUMBERS, NUMBERS[0])}, r"shape \(5,\), not \(1, k\)"),
    ],
)
def test_a_service_does_not_start_with_a_scorer_whose_answers_it_cannot_use(
    attributes, error, tmp_path
):
    class Service(TestedService):
        def make_scorer(self, folder, identity):
            return type("Wrong", (Scorer,), attributes)()

    service = Service()
    write_identity(Identity("model", "data", "Model", "1"), tmp_path)
    with pytest.raises(UnsupportedError, match=error):
        service._open(tmp_path)


def test_the_page_to_try_a_model_is_its_own_files_alone(client):
    for path in ("/try", "/try/"):
        page = client.get(path)
        assert page.status_code == 200 and page.content_type == "text/html; charset=utf-8"
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/try/app.js").content_type == "text/javascript; charset=utf-8"
    assert client.get("/try/style.css").content_type == "text/css; charset=utf-8"
    for name in ("BUILD", "none.js", "..%2fservice.py", "%2e%2e/service.py", "browser.py"):
        assert client.get(f"/try/{name}").status_code == 404


def test_a_service_says_what_it_serves(client):
    assert client.get("/model").json == {
        "model": "model",
        "display_name": "Model",
        "dataset": "data",
        "version": "1",
        "leaves": 5,
        "classes": 8,
        "depth": 3,
    }


def test_errors_of_addresses_are_json(client):
    assert client.get("/nowhere").status_code == 404
    assert client.get("/nowhere").json == {"error": "404 Not Found"}
    wrong = client.get("/predict")
    assert wrong.status_code == 405 and "POST" in wrong.headers["Allow"]
    # It says what to do instead.
    assert '{"text": "..."}' in wrong.json["error"] and "/try" in wrong.json["error"]
    assert client.post("/model").json == {"error": "405 Method Not Allowed"}


def test_pages_of_bentoml_are_not_there(client):
    for path in ("/docs", "/docs.json", "/metadata", "/static_content/main.css"):
        assert (client.get(path).status_code, client.get(path).json) == (
            404,
            {"error": "404 Not Found"},
        ), path
    answer = client.post("/feedback", json={"request_id": "1", "label": "SECRET"})
    assert answer.status_code == 404
    # But the first of all leads to the page.
    start = client.get("/")
    assert (start.status_code, start.headers["Location"]) == (302, "try")


def test_a_description_of_the_api_is_for_who_asks_for_it(service, monkeypatch):
    monkeypatch.setenv("KTT_API_DOCS", "1")
    described = BentoAPIServer(service).app.test_client().get("/docs.json")
    assert described.status_code == 200 and "/predict" in described.json["paths"]


def test_a_failure_of_the_server_is_json_and_its_message_in_no_log(client, caplog, monkeypatch):
    message = "SECRET"

    def fails(*args):
        raise RuntimeError(message.lower())

    monkeypatch.setattr("ktt_serving.server.generate_latest", fails)
    answer = client.get("/metrics")
    assert (answer.status_code, answer.json) == (500, {"error": "500 Internal Server Error"})
    assert "RuntimeError" in caplog.text and "secret" not in caplog.text


def test_counts_that_a_process_has_only_just_begun_are_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    (tmp_path / "counter_1.db").touch()
    assert list(metrics.shared_registry().collect()) == []


def test_texts_and_tokens_that_are_cut_are_counted_of_a_model_that_cuts(client, monkeypatch):
    assert "ktt_texts_total{" not in client.get("/metrics").get_data(as_text=True)
    metrics.expect_tokens()
    page = client.get("/metrics").get_data(as_text=True)
    assert 'ktt_texts_total{cut="yes"} 0.0' in page and 'ktt_tokens_total{cut="no"} 0.0' in page
    metrics.count_tokens(np.array([5, 64, 64]), np.array([0, 0, 57]))
    page = client.get("/metrics").get_data(as_text=True)
    for series in (
        'ktt_texts_total{cut="no"} 2.0',
        'ktt_texts_total{cut="yes"} 1.0',
        'ktt_tokens_total{cut="no"} 133.0',
        'ktt_tokens_total{cut="yes"} 57.0',
    ):
        assert series in page


def test_characters_that_a_tf_idf_model_cuts_are_counted(client):
    metrics.expect_characters()
    assert 'ktt_characters_total{cut="yes"}' in client.get("/metrics").get_data(as_text=True)
    metrics.count_characters(np.array([5, 100]), np.array([0, 20]))
    page = client.get("/metrics").get_data(as_text=True)
    assert 'ktt_characters_total{cut="no"} 105.0' in page
    assert 'ktt_characters_total{cut="yes"} 20.0' in page


def test_metrics_show_zeros_before_anything_happens(client):
    page = client.get("/metrics").get_data(as_text=True)
    assert 'ktt_requests_total{code="500",endpoint="predict_proba"}' in page
    assert 'ktt_monitor_rows_total{outcome="dropped"}' in page
    assert "BENTOML_TestedService_request_total" in page
