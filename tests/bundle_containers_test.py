"""An exported bundle on its own: built, sent texts, and asked for every panel and every alert.

Grafana itself is left out: a real Prometheus is asked here what it would ask, and its files are
held against its schema beside their generator.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import random
import re
import shlex
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from compose_stack import Stack, call, compose_command, docker, free_port, inspect
from ktt_core.interpreters.provision import provide_interpreters

# Images are built first.
pytestmark = pytest.mark.timeout(1400)

MODEL, DATASET = "tfidf_hsgd", "garden"
BUNDLE = f"{MODEL}_{DATASET}"
# As `./pants package` makes it. Without Pants, what the export makes itself is used.
PACKER = Path("libs.ktt_packing/packer.pex/__main__.py")
ALERT_CASES = Path("tests/bundle_alerts.yaml")
USER = "10001:10001"
SERVICES = ("inference", "monitoring", "prometheus")
# What a computation finds, a scrape brings to Prometheus seconds later; machines are busy.
WAIT_SECONDS = 120
# In place of Grafana's: longer than the test, so that what came at its beginning still counts.
WINDOW = "15m"
SECRET = "xylophagous"

CLASSES = {
    "Garden > Tools > Spades": "spade shovel digging edging trenching border",
    "Garden > Tools > Shears": "shears pruning hedge secateurs lopper topiary",
    "Garden > Seeds > Vegetables": "tomato carrot lettuce radish pea cucumber",
    "Garden > Seeds > Flowers": "poppy sunflower cosmos zinnia marigold aster",
    "House > Kitchen > Knives": "knife cleaver carving bread paring santoku",
    "House > Bath > Towels": "towel bath hand terry guest sauna",
}
FILLERS = "steel oak green large small organic classic sturdy light fine pro duo".split()
# Other words, another length: nothing that the model has seen.
FOREIGN = (
    "patients admitted with acute {} insufficiency of the left ventricle after a secondary"
    " infection by {} resistant bacteria were treated intravenously for several weeks {}"
)
PROMETHEUS = """
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN apt-get update && apt-get install --yes --no-install-recommends prometheus wget \\
 && rm -rf /var/lib/apt/lists/* && mkdir -p /prometheus && chown 65534:65534 /prometheus
USER 65534:65534
ENTRYPOINT ["/usr/bin/prometheus"]
"""


def titles() -> Iterator[tuple[str, str]]:
    for label, words in CLASSES.items():
        first, second = words.split()[:3], words.split()[3:]
        for parts in itertools.product(first, second, FILLERS):
            yield " ".join(parts), label


@dataclass(frozen=True)
class Bundle:
    """A running bundle.

    Attributes
    ----------
    stack
        Its containers.
    folder
        Its files.
    """

    stack: Stack
    folder: Path

    def ask(self, service: str, path: str, body: Any = None) -> tuple[int, str, Any]:
        """Return an answer's status, its body, and its headers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.stack.address(service)}{path}", data)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers

    def prometheus(self, path: str, **parameters: str) -> Any:
        """Return the data that Prometheus answers with."""
        query = urllib.parse.urlencode(parameters)
        status, body, _ = self.ask("prometheus", f"/api/v1/{path}?{query}")
        assert status == 200, f"{parameters}: {body}"
        return json.loads(body)["data"]

    def series(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression has now."""
        found: list[dict[str, Any]] = self.prometheus("query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float:
        """Return the value of the one series of an expression, NaN if there is none."""
        found = self.series(expression)
        return float(found[0]["value"][1]) if found else float("nan")

    def predict(self, texts: list[str]) -> list[str]:
        """Have texts classified one by one; returns the requests' ids."""
        return [self._predict(text) for text in texts]

    def _predict(self, text: str) -> str:
        status, body, headers = self.ask("inference", "/predict", {"text": text})
        assert status == 200, body
        return str(headers["X-Request-Id"])


def eventually(what: str, holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end, f"after {WAIT_SECONDS} seconds still not: {what}"
        time.sleep(2)


@pytest.fixture(scope="module")
def compose() -> list[str]:
    return compose_command()


@pytest.fixture(scope="module")
def exported(compose: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle's folder, made as a user makes it."""
    folder = tmp_path_factory.mktemp("exported")
    file = folder / "garden.csv"
    file.write_text("title,category\n" + "".join(f"{t},{label}\n" for t, label in titles()))
    columns = ["--text", "title", "--classes", "category", "--sep", " > "]
    with pytest.MonkeyPatch.context() as patch:
        if PACKER.exists():
            patch.setenv("KTT_PACKER", str(packer_program(folder)))
        for command in (
            ["data", "import", str(file), DATASET, *columns],
            ["train", DATASET, "-m", MODEL, "-r"],
            ["export", DATASET, "-m", MODEL, "--bento"],
        ):
            assert run(["--workspace", str(folder / "workspace"), *command]) == 0, command
    return folder / "workspace" / "build" / BUNDLE


@pytest.fixture(scope="module")
def guide(exported: Path) -> Path:
    """Return the bundle of the user guide's own example, which has 24 test rows."""
    workspace, columns = exported.parent.parent, ["--text", "title", "--classes", "category"]
    with pytest.MonkeyPatch.context() as patch:
        if PACKER.exists():
            patch.setenv("KTT_PACKER", str(workspace.parent / "packer"))
        for command in (
            ["data", "import", "examples/products.csv", "products", *columns, "--sep", " > "],
            ["train", "products", "-m", MODEL, "-r"],
            ["export", "products", "-m", MODEL, "--bento"],
        ):
            assert run(["--workspace", str(workspace), *command]) == 0, command
    return workspace / "build" / f"{MODEL}_products"


def packer_program(folder: Path) -> Path:
    program = folder / "packer"
    python = provide_interpreters(["3.11"])["3.11"]
    command = shlex.join([str(python), str(PACKER.absolute())])
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)
    return program


@pytest.fixture(scope="module")
def prometheus_image(compose: list[str]) -> str:
    """Build Debian's Prometheus, with promtool, on the base that the other images have."""
    tag = "ktt-test-prometheus:latest"
    base = os.environ.get("BASE_IMAGE") or "python:3.11-slim"
    options = ["--quiet", "--build-arg", f"BASE_IMAGE={base}", "--tag", tag, "-"]
    call(["docker", "build", *options], given=PROMETHEUS.encode())
    return tag


@pytest.fixture(scope="module")
def bundle(compose: list[str], exported: Path, prometheus_image: str) -> Iterator[Bundle]:
    # What an operator would do too: look more often, and measure quality once labels come.
    settings = exported / "monitoring" / "evidently.yaml"
    text = settings.read_text()
    text = text.replace("calculation_period_sec: 60", "calculation_period_sec: 5")
    text = text.replace(
        "    - data_drift\n", "    - data_drift\n    - classification_performance\n"
    )
    settings.write_text(text)
    environment = {f"KTT_{service}_PORT".upper(): str(free_port()) for service in SERVICES}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environment |= {
        "GF_SECURITY_ADMIN_PASSWORD": uuid.uuid4().hex,
        "KTT_PROMETHEUS_IMAGE": prometheus_image,
        "KTT_INFERENCE_BASE_IMAGE": os.environ.get("BASE_IMAGE") or "python:3.11-slim",
        "KTT_MONITORING_BASE_IMAGE": os.environ.get("BASE_IMAGE") or "python:3.11-slim",
    }
    command = (*compose, "-p", f"ktt-test-{uuid.uuid4().hex[:8]}")
    stack = Stack(command, environment, exported)
    try:
        stack.compose("build", "--parallel", "inference", "monitoring")
        stack.compose("up", "-d", *SERVICES)
        for service in SERVICES:
            stack.wait_healthy(service)
        yield Bundle(stack, exported)
    finally:
        stack.compose("down", "--volumes", "--rmi", "local", "--timeout", "5")


@pytest.fixture(scope="module")
def watched(bundle: Bundle) -> Bundle:
    """Send what the model knows, what it refuses, labels and a row that does not fit."""
    known = list(titles())[::7]
    # As traffic comes, not class by class.
    random.Random(0).shuffle(known)
    ids = bundle.predict([text for text, _ in known])
    for wrong in ({"txt": "spade"}, {"text": ""}, ["spade"]):
        assert bundle.ask("inference", "/predict", wrong)[0] == 400
    answered = bundle.ask("inference", "/predict_proba", {"text": f"{SECRET} spade"})
    assert answered[0] == 200
    assert bundle.ask("monitoring", "/iterate", {"data": [[None, 1.0]]})[0] in range(400, 500)
    received = "sum(ktt_monitoring_rows_received_total)"
    eventually("all rows are with the monitor", lambda: bundle.value(received) >= len(ids) + 1)
    labels = [
        {"id": identifier, "label": label.replace(" > ", "\n")}
        for identifier, (_, label) in zip(ids, known, strict=True)
    ]
    status, body, _ = bundle.ask("monitoring", "/feedback", {"feedback": labels[-30:]})
    assert status == 200, body
    eventually(
        "labels were joined", lambda: bundle.value("sum(ktt_monitoring_feedback_total)") >= 30
    )
    eventually("quality was computed", lambda: bool(bundle.series("ktt_monitoring_quality")))
    return bundle


@pytest.fixture(scope="module")
def drifted(watched: Bundle) -> Bundle:
    """Send texts from another world, until a window is full of them."""
    watched.predict([FOREIGN.format(f"x{n}", f"y{n}", f"z{n}") for n in range(90)])
    # By chance there may have been an alarm before; that all words are unknown is no chance.
    unknown_words = 'ktt_monitoring_column_drifted{monitor="data_drift", column="unknown words"}'
    alarm = f'ktt_monitoring_drift_alarm{{monitor="data_drift"}} and on () {unknown_words} == 1'
    eventually("the drift alarm is in Prometheus", lambda: watched.value(alarm) == 1)
    return watched


def test_the_guide_s_example_is_watched_though_its_test_split_is_small(
    bundle: Bundle, guide: Path
) -> None:
    name, port = f"ktt-test-{uuid.uuid4().hex[:8]}", free_port()
    image = inspect(bundle.stack.container("monitoring"))["Image"]
    docker("create", "--name", name, "--publish", f"127.0.0.1:{port}:5001", image)
    try:
        for file in ("evidently.yaml", "references.parquet"):
            docker("cp", str(guide / "monitoring" / file), f"{name}:/monitoring/{file}")
        docker("start", name)

        def computed() -> bool:
            assert inspect(name)["State"]["Running"], docker("logs", name)
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    told = answer.read().decode()
                return (
                    'computations_total{outcome="succeeded"} 0.0' not in told
                    and "ktt_monitoring_window_rows 24.0" in told
                    and "ktt_monitoring_reference_rows 24.0" in told
                )
            return False

        eventually("the monitor has compared the guide's example with itself", computed)
    finally:
        docker("rm", "--force", "--volumes", name)


def test_images_run_as_nobody_special_and_can_write_nowhere(bundle: Bundle) -> None:
    for service in ("inference", "monitoring"):
        described = inspect(bundle.stack.container(service))
        assert described["Config"]["User"] == USER
        assert described["HostConfig"]["ReadonlyRootfs"]
        assert described["HostConfig"]["CapDrop"] == ["ALL"]
        assert described["HostConfig"]["Memory"] > 0


def test_ports_are_open_to_this_machine_alone(bundle: Bundle) -> None:
    for service in SERVICES:
        (published,) = docker("port", bundle.stack.container(service)).splitlines()
        assert published.split("->")[1].strip().startswith("127.0.0.1:")


def test_a_bundle_answers_with_paths(bundle: Bundle) -> None:
    status, body, _ = bundle.ask("inference", "/predict", {"text": "tomato cucumber organic"})
    assert (status, json.loads(body)) == (200, "Garden\nSeeds\nVegetables")


def test_every_panel_of_the_dashboard_shows_something(drifted: Bundle) -> None:
    file = drifted.folder / "grafana" / "provisioning" / "dashboards" / "dashboard.json"
    panels = [panel for panel in json.loads(file.read_text())["panels"] if panel["type"] != "row"]
    asked = [
        (panel["title"], target["expr"].replace("$__rate_interval", WINDOW))
        for panel in panels
        for target in panel["targets"]
    ]
    assert len(asked) > 40
    assert {title for title, query in asked if "$" in query} == set()
    empty: list[tuple[str, str]] = []

    def all_there() -> bool:
        empty[:] = [(title, query) for title, query in asked if not drifted.series(query)]
        return not empty

    try:
        eventually("every panel has data", all_there)
    except AssertionError:
        assert empty == [], "these panels stay empty"


def test_every_alert_asks_for_what_there_is(drifted: Bundle) -> None:
    groups = drifted.prometheus("rules", type="alert")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 8
    assert {rule["health"] for rule in rules} == {"ok"}, rules
    for rule in rules:
        drifted.series(rule["query"])
        selectors = re.findall(r"\b((?:ktt_\w+|up)(?:\{[^}]*\})?)", rule["query"])
        assert selectors, rule["query"]
        for selector in selectors:
            assert drifted.series(selector), f"{rule['name']}: no series {selector}"


def test_the_drift_alert_is_under_way(drifted: Bundle) -> None:
    query = 'ALERTS{alertname="KttDrift", monitor="data_drift"}'
    eventually("Prometheus waits for the drift to last", lambda: bool(drifted.series(query)))


def test_the_report_is_a_page_to_look_at(drifted: Bundle) -> None:
    status, body, headers = drifted.ask("monitoring", "/report")
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert "<html" in body.lower()


def test_no_text_is_in_any_log(drifted: Bundle) -> None:
    for service in ("inference", "monitoring"):
        logs = docker("logs", drifted.stack.container(service))
        assert SECRET not in logs
        assert "insufficiency" not in logs


def test_the_window_outlives_the_monitor(drifted: Bundle) -> None:
    """Killed, it still holds the foreign texts, and predictions do not miss it meanwhile."""
    drifted.stack.compose("kill", "-s", "SIGKILL", "monitoring")
    assert drifted.ask("inference", "/predict", {"text": "terry towel"})[0] == 200
    drifted.stack.compose("start", "monitoring")
    drifted.stack.wait_healthy("monitoring")

    def alarm_again() -> bool:
        _, body, _ = drifted.ask("monitoring", "/metrics")
        return bool(
            re.search(r'^ktt_monitoring_drift_alarm\{monitor="data_drift"\} 1\.0$', body, re.M)
        )

    eventually("the restarted monitor raises its alarm", alarm_again)
    _, body, _ = drifted.ask("monitoring", "/metrics")
    (rows,) = re.findall(r"^ktt_monitoring_window_rows (\S+)$", body, re.MULTILINE)
    assert float(rows) == 30


def test_grafana_does_not_start_without_a_password(compose: list[str], exported: Path) -> None:
    refused = call([*compose, "config"], check=False, folder=exported)
    assert "GF_SECURITY_ADMIN_PASSWORD" in refused
    assert "services:" not in refused


def test_a_gpu_is_asked_for_by_an_override(compose: list[str], exported: Path) -> None:
    files = ["-f", "docker-compose.yaml", "-f", "docker-compose.gpu.yaml"]
    password = {"GF_SECURITY_ADMIN_PASSWORD": "any"}
    merged = call([*compose, *files, "config"], more=password, folder=exported)
    assert "driver: nvidia" in merged


def test_promtool_accepts_the_configuration_and_the_alerts(
    exported: Path, prometheus_image: str
) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for file in (*sorted((exported / "prometheus").iterdir()), ALERT_CASES):
            tar.add(file, file.name)
    checks = "promtool check config prometheus.yaml && promtool test rules bundle_alerts.yaml"
    command = ["docker", "run", "--rm", "-i", "--entrypoint", "sh", prometheus_image, "-c"]
    printed = call([*command, f"cd /tmp && tar x && {checks}"], given=archive.getvalue())
    assert printed.count("SUCCESS") >= 3, printed
