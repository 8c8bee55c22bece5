"""The files around a bundle's dashboard: nothing open, nothing unpinned, every alert explained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

TEMPLATES = Path("libs/ktt_packing/packer/templates")
PROVISIONING = TEMPLATES / "grafana" / "provisioning"
GUIDE = Path("docs/operator-guide.md")
REQUIREMENTS = Path("3rdparty/python/dashboards.in")
PORTS = {"inference": 5000, "monitoring": 5001, "prometheus": 9090, "grafana": 3000}


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read_: dict[str, Any] = read(TEMPLATES / "docker-compose.yaml")
    return read_


@pytest.fixture(scope="module")
def alerts() -> list[dict[str, Any]]:
    groups = read(TEMPLATES / "prometheus" / "alerts.yaml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_only_the_documented_ports_are_open_and_to_this_machine_alone(
    compose: dict[str, Any],
) -> None:
    assert set(compose["services"]) == set(PORTS)
    for name, service in compose["services"].items():
        (published,) = service["ports"]
        pattern = r"\$\{KTT_BIND_ADDRESS:-(.*?)\}:\$\{KTT_\w+_PORT:-(\d+)\}:(\d+)"
        ((host, ours, theirs),) = re.findall(pattern, published)
        assert (host, int(ours), int(theirs)) == ("127.0.0.1", PORTS[name], PORTS[name])


def test_services_are_bounded_and_have_no_rights(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "unless-stopped"
        assert service["mem_limit"]
        assert service["pids_limit"] > 0
        assert service["logging"]["options"]["max-size"]
        assert service["read_only"] is (name != "grafana")


def test_what_is_not_built_here_is_pinned(compose: dict[str, Any]) -> None:
    for name in ("prometheus", "grafana"):
        given = compose["services"][name]["image"]
        assert re.fullmatch(rf"\$\{{KTT_{name.upper()}_IMAGE:-\w+/\w+:v?\d+\.\d+\.\d+\}}", given)
    built = {name: compose["services"][name]["build"] for name in ("inference", "monitoring")}
    assert [built[name]["context"] for name in built] == ["./inference", "./monitoring"]
    assert [built[name]["args"]["BASE_IMAGE"] for name in built] == [
        "${KTT_INFERENCE_BASE_IMAGE:-python:3.11-slim}",
        "${KTT_MONITORING_BASE_IMAGE:-python:3.11-slim}",
    ]


def test_grafana_is_the_version_whose_types_the_dashboards_are_made_of(
    compose: dict[str, Any],
) -> None:
    image = compose["services"]["grafana"]["image"]
    (types,) = re.findall(r"grafana-foundation-sdk==\d+!(\d+\.\d+)\.", REQUIREMENTS.read_text())
    assert f":{types}." in image


def test_grafana_asks_for_a_password_and_talks_to_nobody(compose: dict[str, Any]) -> None:
    environment = compose["services"]["grafana"]["environment"]
    assert environment["GF_SECURITY_ADMIN_PASSWORD"].startswith("${GF_SECURITY_ADMIN_PASSWORD:?")
    for name, value in environment.items():
        if re.search("ANONYMOUS|SIGN_UP|REPORTING|CHECK_FOR|NEWS|FEEDBACK|EXTERNAL", name):
            assert value == "false", name
        if name.endswith(("DISABLED", "GRAVATAR")):
            assert value == "true", name


def test_predictions_wait_for_no_monitor(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["inference"]["depends_on"] == {"monitoring": {"condition": "service_started"}}
    assert services["inference"]["environment"]["EVIDENTLY_HOST"] == "monitoring"
    assert services["grafana"]["depends_on"] == {"prometheus": {"condition": "service_healthy"}}


def test_volumes_that_are_named_are_used(compose: dict[str, Any]) -> None:
    services = compose["services"].values()
    mounted = [volume for service in services for volume in service.get("volumes", [])]
    files = [volume for volume in mounted if volume.startswith(".")]
    named = {volume.split(":")[0] for volume in mounted if volume not in files}
    assert named == set(compose["volumes"])
    assert all(volume.endswith(":ro") for volume in files)


def test_a_gpu_is_an_override(compose: dict[str, Any]) -> None:
    override = read(TEMPLATES / "docker-compose.gpu.yaml")["services"]
    assert set(override) == {"inference"}
    (device,) = override["inference"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_prometheus_asks_both_services_where_compose_runs_them() -> None:
    config = read(TEMPLATES / "prometheus" / "prometheus.yaml")
    assert config["global"]["scrape_interval"] == "5s"
    assert config["rule_files"] == ["alerts.yaml"]
    targets = {
        job["job_name"]: [target for found in job["static_configs"] for target in found["targets"]]
        for job in config["scrape_configs"]
    }
    assert targets == {"inference": ["inference:5000"], "monitoring": ["monitoring:5001"]}


def test_grafana_finds_its_source_and_its_dashboard(compose: dict[str, Any]) -> None:
    (source,) = read(PROVISIONING / "datasources" / "datasource.yml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert source["isDefault"] is True
    assert source["jsonData"]["timeInterval"] == "5s"
    (provider,) = read(PROVISIONING / "dashboards" / "dashboard.yml")["providers"]
    mounted = "/etc/grafana/provisioning"
    grafana = compose["services"]["grafana"]
    assert f"./grafana/provisioning:{mounted}:ro" in grafana["volumes"]
    assert provider["options"]["path"] == f"{mounted}/dashboards"
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{mounted}/dashboards/dashboard.json"


def test_every_alert_says_what_has_happened_and_what_to_do(alerts: list[dict[str, Any]]) -> None:
    headings = re.findall(r"^#+ (.*)$", GUIDE.read_text(), re.MULTILINE)
    for alert in alerts:
        assert alert["labels"]["severity"] in ("warning", "critical")
        notes = alert["annotations"]
        assert set(notes) == {"summary", "description", "runbook"}, alert["alert"]
        assert notes["runbook"].startswith(f"docs/operator-guide.md, {alert['alert']}. ")
        assert alert["alert"] in headings, f"the operator guide has no section {alert['alert']}"


def test_alerts_wait_before_they_fire(alerts: list[dict[str, Any]]) -> None:
    assert len({alert["alert"] for alert in alerts}) == len(alerts) >= 9
    for alert in alerts:
        assert re.fullmatch(r"\d+m", alert["for"]), alert["alert"]
