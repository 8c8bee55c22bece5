from __future__ import annotations

import pytest

from ktt_packing.packer import layout
from ktt_packing.packer.layout import LayoutError, init_folder_structure
from ktt_packing.packer.packing_fixtures import write_monitoring_inputs


@pytest.fixture
def monitoring(tmp_path, monkeypatch):
    folder = tmp_path / "service"
    (folder / "ktt_monitor" / "__pycache__").mkdir(parents=True)
    for name in (
        "monitoring.py",
        "Dockerfile",
        "requirements.txt",
        "BUILD",
        "monitoring_test.py",
        "ktt_monitor/__init__.py",
        "ktt_monitor/__pycache__/a.pyc",
    ):
        (folder / name).write_text(name)
    monkeypatch.setattr(layout, "_MONITORING", (folder,))
    return folder


def test_from_ktt_s_own_tree_the_monitor_is_put_together(tmp_path, monkeypatch):
    folder = tmp_path / "monitoring"
    (folder / "bundle").mkdir(parents=True)
    for name in ("bundle/monitoring.py", "bundle/Dockerfile", "requirements.txt", "Dockerfile"):
        (folder / name).write_text(name)
    for name in ("__init__.py", "main.py", "main_test.py", "conftest.py", "BUILD"):
        (folder / name).write_text(name)
    monkeypatch.setattr(layout, "_MONITORING", (folder,))
    init_folder_structure(tmp_path / "bundle", write_monitoring_inputs(tmp_path / "inputs"))
    found = tmp_path / "bundle" / "monitoring"
    assert tree(found) == [
        "Dockerfile",
        "evidently.yaml",
        "ktt_monitor/__init__.py",
        "ktt_monitor/main.py",
        "monitoring.py",
        "references.parquet",
        "requirements.txt",
    ]
    assert (found / "Dockerfile").read_text() == "bundle/Dockerfile"


def tree(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_without_monitoring_there_is_the_service_s_folder_alone(tmp_path):
    found = init_folder_structure(tmp_path / "bundle")
    assert found == tmp_path / "bundle" / "inference"
    assert [path.name for path in (tmp_path / "bundle").rglob("*")] == ["inference"]


def test_with_monitoring_everything_but_the_service_is_there(tmp_path, monitoring):
    config = write_monitoring_inputs(tmp_path / "inputs")
    found = init_folder_structure(str(tmp_path / "bundle"), config)
    assert found == tmp_path / "bundle" / "inference" and not list(found.iterdir())
    assert tree(tmp_path / "bundle") == [
        "docker-compose.gpu.yaml",
        "docker-compose.yaml",
        "grafana/provisioning/dashboards/dashboard.json",
        "grafana/provisioning/dashboards/dashboard.yml",
        "grafana/provisioning/datasources/datasource.yml",
        "monitoring/Dockerfile",
        "monitoring/evidently.yaml",
        "monitoring/ktt_monitor/__init__.py",
        "monitoring/monitoring.py",
        "monitoring/references.parquet",
        "monitoring/requirements.txt",
        "prometheus/alerts.yaml",
        "prometheus/prometheus.yaml",
    ]
    # Files are copied as they are.
    for key, name in (
        ("reference_set_path", "monitoring/references.parquet"),
        ("grafana_dashboard_path", "grafana/provisioning/dashboards/dashboard.json"),
        ("evidently_config", "monitoring/evidently.yaml"),
    ):
        with open(config[key], "rb") as file:
            assert (tmp_path / "bundle" / name).read_bytes() == file.read()


def test_a_folder_in_use_is_left_as_it_is(tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(LayoutError, match="not empty"):
        init_folder_structure(tmp_path)
    assert tree(tmp_path) == ["mine"]


def test_a_file_that_is_not_there_is_named_before_anything_is_written(tmp_path, monitoring):
    config = write_monitoring_inputs(tmp_path / "inputs")
    config["reference_set_path"] = str(tmp_path / "none.parquet")
    with pytest.raises(LayoutError, match="reference_set_path.*none.parquet"):
        init_folder_structure(tmp_path / "bundle", config)
    assert not list((tmp_path / "bundle").iterdir())


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_the_configuration_has_three_keys(tmp_path, change):
    config = write_monitoring_inputs(tmp_path / "inputs")
    if change == "missing":
        del config["evidently_config"]
    else:
        config["more"] = "x"
    with pytest.raises(LayoutError, match="evidently_config"):
        init_folder_structure(tmp_path / "bundle", config)
