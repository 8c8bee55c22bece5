"""The packer reads what the client writes, and refuses with a reason what it cannot use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ktt_core.errors import InvalidArgumentError
from ktt_packing.request import MonitoringFiles, PackRequest, read_request, write_request


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Any]:
    """Return the JSON of a request that can be used."""
    for name in ("artifacts", "sources"):
        (tmp_path / name).mkdir()
    return {
        "format_version": 1,
        "model": "tfidf_hsgd",
        "dataset": "toys",
        "display_name": "A model",
        "service_module": "ktt_models.tfidf_hsgd.bentoml.svc_lts",
        "artifacts": str(tmp_path / "artifacts"),
        "output": str(tmp_path / "bundle"),
        "service_version": "20260131T123456",
        "gpu": True,
        "sources": str(tmp_path / "sources"),
        "monitoring": {
            "reference_set_path": "references.parquet",
            "grafana_dashboard_path": "dashboard.json",
            "evidently_config": "evidently.yaml",
        },
    }


def test_a_request_is_read_as_it_was_written(written: dict[str, Any], tmp_path: Path) -> None:
    request = PackRequest(
        model="tfidf_hsgd",
        dataset="toys",
        display_name="A model",
        service_module="ktt_models.tfidf_hsgd.bentoml.svc_lts",
        artifacts=tmp_path / "artifacts",
        output=tmp_path / "bundle",
        service_version="20260131T123456",
        gpu=True,
        sources=tmp_path / "sources",
        monitoring=MonitoringFiles(
            reference_set_path=Path("references.parquet"),
            grafana_dashboard_path=Path("dashboard.json"),
            evidently_config=Path("evidently.yaml"),
        ),
    )
    file = tmp_path / "request.json"
    write_request(request, file)
    assert json.loads(file.read_text()) == written
    assert read_request(file) == request


def test_what_may_be_left_out_is_left_out(written: dict[str, Any]) -> None:
    for name in ("gpu", "sources", "monitoring"):
        del written[name]
    request = PackRequest.from_json(written)
    assert (request.gpu, request.sources, request.monitoring) == (False, None, None)
    assert PackRequest.from_json(request.to_json()) == request


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "version 1.*two releases"),
        ({"model": "../up"}, "not a valid model name"),
        ({"dataset": ""}, "dataset must be a text"),
        ({"display_name": None}, "display_name must be a text"),
        ({"service_module": "os; import"}, "service_module is wrong"),
        ({"service_version": "a b"}, "service_version is wrong"),
        ({"artifacts": "/none"}, "artifacts is not a folder"),
        ({"sources": "/none"}, "sources is not a folder"),
        ({"gpu": "yes"}, "gpu must be true or false"),
        ({"monitoring": {"reference_set_path": "x"}}, "monitoring.*evidently_config"),
        ({"more": 1}, "unknown fields: more"),
    ],
)
def test_a_wrong_request_is_explained(
    written: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        PackRequest.from_json({**written, **changes})


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_file_that_is_no_request_is_refused(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "request.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InvalidArgumentError, match="the request"):
        read_request(file)
