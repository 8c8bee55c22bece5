"""The dashboards are up to date, whole, readable, and made of what the schema knows."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import generate
from dashboards.models import registered_models

NAMES = [
    "db_achmcnn",
    "db_ahmcnf",
    "db_bhcn",
    "db_bhcn_awx",
    "db_linear",
    "tfidf_hsgd",
    "tfidf_lsgd",
]
# What the services report under: a panel that asks for anything else would stay empty.
METRICS = {
    "ALERTS",
    "up",
    "ktt_batch_rows",
    "ktt_confidence",
    "ktt_model_duration_seconds",
    "ktt_monitor_posts_failed_total",
    "ktt_monitor_rows_queued",
    "ktt_monitor_rows_total",
    "ktt_monitoring_class_share",
    "ktt_monitoring_column_drift_score",
    "ktt_monitoring_column_drifted",
    "ktt_monitoring_columns",
    "ktt_monitoring_computation_duration_seconds",
    "ktt_monitoring_computations_total",
    "ktt_monitoring_confidence_mean",
    "ktt_monitoring_drift_alarm",
    "ktt_monitoring_drifted_columns",
    "ktt_monitoring_estimated_accuracy",
    "ktt_monitoring_feedback_total",
    "ktt_monitoring_lag_seconds",
    "ktt_monitoring_last_computation_timestamp_seconds",
    "ktt_monitoring_quality",
    "ktt_monitoring_reference_rows",
    "ktt_monitoring_rows_received_total",
    "ktt_monitoring_rows_rejected_total",
    "ktt_monitoring_window_rows",
    "ktt_request_duration_seconds",
    "ktt_requests_total",
}
WIDTH = 24


DEFAULTS = generate.LIBRARIES / generate.DEFAULTS


def place(model: str) -> Path:
    return generate.LIBRARIES / generate.MODELS / model / "bentoml"


@pytest.fixture(params=[DEFAULTS, *map(place, NAMES)], ids=["default", *NAMES])
def board(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((request.param / generate.DASHBOARD).read_text())
    return loaded


def figures(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions(board: dict[str, Any]) -> Iterator[str]:
    for panel in figures(board):
        for target in panel["targets"]:
            yield target["expr"]


def test_all_files_are_up_to_date() -> None:
    assert (
        generate.stale(generate.LIBRARIES) == []
    ), "write them anew: ./pants run build-support/dashboards:generate"


def test_every_bundled_model_with_a_service_of_its_own_has_them() -> None:
    models = registered_models(generate.LIBRARIES / generate.MODELS)
    assert [model.name for model in models if place(model.name).is_dir()] == NAMES


def test_a_model_without_a_service_of_its_own_needs_none(tmp_path: Path) -> None:
    for part in (generate.MODELS, generate.DEFAULTS):
        shutil.copytree(generate.LIBRARIES / part, tmp_path / part)
    registration = '@register("db_new", display_name="New", framework="pytorch")\ndef load(): ...\n'
    package = tmp_path / generate.MODELS / "db_new"
    package.mkdir()
    (package / "__init__.py").write_text(registration)
    assert generate.stale(tmp_path) == []
    generate.write(tmp_path)
    assert list(package.iterdir()) == [package / "__init__.py"]


def test_stale_missing_and_left_over_files_are_found(tmp_path: Path) -> None:
    for part in (generate.MODELS, generate.DEFAULTS):
        shutil.copytree(generate.LIBRARIES / part, tmp_path / part)
    assert generate.stale(tmp_path) == []
    default = tmp_path / generate.DEFAULTS / generate.DASHBOARD
    changed, gone, left = (
        tmp_path / generate.MODELS / name / "bentoml" / generate.DASHBOARD
        for name in (*NAMES[:2], "old_model")
    )
    other = changed.with_name(generate.SETTINGS)
    for file in (default, changed):
        file.write_text(file.read_text().replace("Latency", "Slowness"))
    other.write_text(other.read_text().replace("window_size: 30", "window_size: 31"))
    gone.unlink()
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    assert generate.stale(tmp_path) == sorted(map(str, (default, changed, other, gone, left)))
    left.unlink()
    generate.write(tmp_path)
    assert generate.stale(tmp_path) == []


def test_a_dashboard_says_which_model_it_is_of() -> None:
    boards = [json.loads((place(name) / generate.DASHBOARD).read_text()) for name in NAMES]
    assert [board["uid"] for board in boards] == [f"ktt-{name}" for name in NAMES]
    assert len({board["title"] for board in boards}) == len(NAMES)


def test_grafanas_schema_takes_it_in_whole(board: dict[str, Any]) -> None:
    """Read by the types that are generated from the schema, nothing is lost and nothing added."""
    read = Dashboard.from_json(board)
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == board


def test_panels_lie_side_by_side_on_the_grid(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= WIDTH, panel["title"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_every_panel_explains_itself(board: dict[str, Any]) -> None:
    for panel in figures(board):
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    titles = [panel["title"] for panel in board["panels"]]
    assert len(set(titles)) == len(titles)


def test_panels_ask_only_for_what_the_services_report(board: dict[str, Any]) -> None:
    asked = set()
    for expression in expressions(board):
        names = set(re.findall(r"\b(?:ktt_\w+|up|ALERTS)\b", expression))
        assert names, expression
        asked |= {re.sub("_(bucket|sum|count)$", "", name) for name in names}
    assert asked == METRICS


def test_every_rate_looks_at_several_scrapes(board: dict[str, Any]) -> None:
    for expression in expressions(board):
        windows = re.findall(r"\[([^\]]*)\]\)", expression)
        assert set(windows) <= {"$__rate_interval"}, expression


def test_the_monitors_settings_hold_the_documented_defaults() -> None:
    template = DEFAULTS / generate.SETTINGS
    assert yaml.safe_load(template.read_text()) == {
        "service": {
            "reference_path": "./references.parquet",
            "min_reference_size": 30,
            "use_reference": True,
            "moving_reference": False,
            "window_size": 30,
            "calculation_period_sec": 60,
            "monitors": ["cat_target_drift", "data_drift"],
            "alarm_rate": 0.05,
            "feedback_size": 10_000,
        }
    }
    # The export appends the columns of scores.
    assert yaml.safe_load(template.read_text() + 'prediction: ["a", "b"]\n')["prediction"]
