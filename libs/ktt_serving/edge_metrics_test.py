from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from ktt_serving.edge_metrics import with_edge_metrics

APIS = {"predict", "predict_proba"}


def seen(families):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def workers(registry):
    requests = Counter("ktt_requests_total", "", ["endpoint", "code"], registry=registry)
    seconds = Histogram("ktt_request_duration_seconds", "", ["endpoint"], registry=registry)
    requests.labels("predict", "200").inc(5)
    requests.labels("predict", "500")
    seconds.labels("predict").observe(0.1)


def test_without_a_door_the_workers_counts_stand():
    registry = CollectorRegistry()
    workers(registry)
    assert seen(with_edge_metrics(registry.collect(), APIS)) == seen(registry.collect())


def test_the_door_knows_better():
    registry = CollectorRegistry()
    workers(registry)
    requests = Counter(
        "BENTOML_A_mb_request_total", "", ["endpoint", "http_response_code"], registry=registry
    )
    seconds = Histogram(
        "BENTOML_A_mb_request_duration_seconds",
        "",
        ["endpoint", "http_response_code"],
        registry=registry,
    )
    for endpoint, code, times in [
        ("predict", "200", 7),
        ("predict", "503", 1),
        ("predict_proba", "200", 2),
        ("healthz", "200", 100),
        ("metrics", "200", 100),
        ("try/app.js", "200", 3),
        ("wp-login.php", "404", 2),
        ("other/path", "404", 1),
    ]:
        requests.labels(endpoint, code).inc(times)
        for _ in range(times):
            seconds.labels(endpoint, code).observe(0.2)
    found = seen(with_edge_metrics(registry.collect(), APIS))
    name = "ktt_requests_total"
    assert {key: value for key, value in found.items() if key[0] == name} == {
        (name, ("code", "200"), ("endpoint", "predict")): 7,
        (name, ("code", "503"), ("endpoint", "predict")): 1,
        (name, ("code", "200"), ("endpoint", "predict_proba")): 2,
        (name, ("code", "404"), ("endpoint", "other")): 3,
        (name, ("code", "500"), ("endpoint", "predict")): 0,
    }
    name = "ktt_request_duration_seconds"
    assert found[(f"{name}_count", ("endpoint", "predict"))] == 8
    assert found[(f"{name}_bucket", ("endpoint", "other"), ("le", "0.25"))] == 3
    assert found[(f"{name}_bucket", ("endpoint", "predict"), ("le", "0.1"))] == 0
