"""Metrics of requests as clients see them, including the wait for a batch.

BentoML's batching process receives requests and sends batches to the workers. Only it sees the
total time of a request, and requests that it refused, and counts them in metrics with BentoML's
names. If it shares a folder with the workers, its metrics replace theirs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from prometheus_client import Metric

__all__ = ["with_edge_metrics"]

_REQUESTS, _SECONDS = "ktt_requests", "ktt_request_duration_seconds"
_EDGE = re.compile(r"^BENTOML_\w+_mb_(request|request_duration_seconds)$")

# Paths that do not use the model: probes, scrapes, pages.
_PASSED_OVER = re.compile(
    r"^/?(|healthz|metrics|metadata|docs|docs\.json|static_content/.*|model)$"
)
_PAGE = re.compile(r"^/?try(/.*)?$")


def with_edge_metrics(families: Iterable[Metric], endpoints: Collection[str]) -> Iterator[Metric]:
    """Yield metrics, with the workers' counts of requests replaced by the batching process's.

    Parameters
    ----------
    families : iterable of Metric
    endpoints : collection of str
        The model's APIs; other paths are counted together, as "other".
    """
    kept = list(families)
    found = {}
    for family in kept:
        if (match := _EDGE.match(family.name)) and family.samples:
            found[_REQUESTS if match[1] == "request" else _SECONDS] = family
    for family in kept:
        yield _renamed(family, found[family.name], endpoints) if family.name in found else family


def _renamed(family: Metric, edge: Metric, endpoints: Collection[str]) -> Metric:
    is_counter = family.name == _REQUESTS
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for sample in edge.samples:
        endpoint = sample.labels["endpoint"].strip("/")
        if endpoint not in endpoints:
            if _PASSED_OVER.match(endpoint) or _PAGE.match(endpoint):
                continue
            endpoint = "other"
        labels = {"endpoint": endpoint}
        if is_counter:
            labels["code"] = sample.labels["http_response_code"]
        if "le" in sample.labels:
            labels["le"] = sample.labels["le"]
        suffix = sample.name[len(edge.name) :]
        key = (family.name + suffix, tuple(labels.items()))
        sums[key] = sums.get(key, 0.0) + sample.value
    # Events that have not occurred yet are shown as zero.
    for sample in family.samples:
        if sample.value == 0:
            sums.setdefault((sample.name, tuple(sample.labels.items())), 0.0)
    result = Metric(family.name, family.documentation, family.type)
    for (name, labelled), value in sums.items():
        result.add_sample(name, dict(labelled), value)
    return result
