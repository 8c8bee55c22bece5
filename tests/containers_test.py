"""The images, each of them started: the services by the compose file, the monitor by itself."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cli.main import run
from compose_stack import (
    Stack,
    call,
    compose_command,
    docker,
    free_port,
    inspect,
    wait_healthy,
)
from conftest import copy_listing, install_model

# Images are built first.
pytestmark = pytest.mark.timeout(1400)

COMPOSE_FILE = "deploy/docker-compose.yaml"
TLS_FILE = "deploy/docker-compose.tls.yaml"
SERVICES = ("trainer", "exporter")
PRODUCTS = "examples/products.csv"
USER = 10001


def image(service: str) -> str:
    """Return the id of the image that was built for this test."""
    return image_id(Path(f"services.{service}/image.docker-info.json"))


def image_id(described: Path) -> str:
    return str(json.loads(described.read_text())["image_id"])


@pytest.fixture(scope="module", name="compose_command")
def fixture_compose_command() -> list[str]:
    return compose_command()


@contextlib.contextmanager
def running(compose_command: list[str], files: list[str], **more: str) -> Iterator[Stack]:
    ports = [f"{service}{kind}" for service in SERVICES for kind in ("", "_METRICS", "_PUBLIC")]
    environment = {f"KTT_{port}_PORT".upper(): str(free_port()) for port in ports}
    environment |= {f"KTT_{service}_IMAGE".upper(): image(service) for service in SERVICES}
    project = f"ktt-test-{uuid.uuid4().hex[:8]}"
    options = [option for file in files for option in ("-f", file)]
    stack = Stack((*compose_command, "-p", project, *options), environment | more)
    try:
        stack.compose("up", "-d")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")


@contextlib.contextmanager
def with_outside_model(folder: Path) -> Iterator[dict[str, str]]:
    """Build images of the services that know the guide's model, as the guide says."""
    copy_listing("tfidf_nb", folder / "model")
    install_model(folder / "model", "tfidf_nb")
    tag = f"ktt-test-{uuid.uuid4().hex[:8]}"
    named = {f"KTT_{service}_IMAGE".upper(): f"{tag}-{service}" for service in SERVICES}
    try:
        for service, name in zip(SERVICES, named.values(), strict=True):
            docker("tag", image(service), f"{name}-base")
            (folder / "Dockerfile").write_text(
                f"FROM {name}-base\nCOPY model/ /app/lib/python3.11/site-packages/\n"
            )
            docker("build", "--tag", name, str(folder))
        yield named
    finally:
        names = [f"{name}{end}" for name in named.values() for end in ("", "-base")]
        docker("rmi", "--no-prune", *names, check=False)


@pytest.fixture(scope="module")
def stack(compose_command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with (
        with_outside_model(tmp_path_factory.mktemp("images")) as images,
        running(compose_command, [COMPOSE_FILE], **images) as stack,
    ):
        stack.wait_healthy("trainer")
        stack.wait_healthy("exporter")
        yield stack


class Client:
    """`ktt` on the containers."""

    def __init__(self, stack: Stack, capfd: pytest.CaptureFixture[str]) -> None:
        self._where = ["--address", stack.address("trainer")]
        self._where += ["--exporter-address", stack.address("exporter")]
        self._capfd = capfd

    def __call__(self, *arguments: object) -> str:
        self._capfd.readouterr()
        code = run([*self._where, *map(str, arguments)])
        captured = self._capfd.readouterr()
        assert code == 0, captured.out + captured.err
        return captured.out


@pytest.fixture
def ktt(stack: Stack, capfd: pytest.CaptureFixture[str]) -> Client:
    return Client(stack, capfd)


@pytest.fixture
def dataset(ktt: Client) -> str:
    if "shop" not in ktt("data", "list"):
        options = ["--text", "title", "--classes", "category", "--sep", " > "]
        ktt("data", "import", PRODUCTS, "shop", *options)
    return "shop"


def test_the_images_share_what_is_not_ours_and_run_as_nobody_special(stack: Stack) -> None:
    trainer, exporter = map(inspect, map(image, SERVICES))
    layers = [described["RootFS"]["Layers"] for described in (trainer, exporter)]
    # The exporter's has the packer of bundles and its Python between the two.
    shared = layers[0][:-1]
    assert len(shared) >= 2 and layers[1][: len(shared)] == shared
    assert layers[0][-1] != layers[1][-1]
    for described in (trainer, exporter):
        assert described["Config"]["User"] == f"{USER}:{USER}"
        assert described["Config"]["Healthcheck"]["Test"][0] == "CMD"


def test_the_requirements_image_has_a_python_that_imports_them(stack: Stack) -> None:
    identifier = image_id(Path("services/requirements.docker-info.json"))
    docker("run", "--rm", identifier, "/app/bin/python", "-c", "import grpc, torch, onnxruntime")


@pytest.fixture(scope="module")
def monitor(compose_command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the monitor's image as its guide says; returns where it listens and its name."""
    folder = tmp_path_factory.mktemp("monitor")
    folder.chmod(0o755)
    half = [number / 60 for number in range(60)]
    columns = {"target": ["Shoes"] * 60, "0": half, "Shirts": half, "Shoes": half[::-1]}
    pq.write_table(pa.table(columns), folder / "references.parquet")
    (folder / "evidently.yaml").write_text(
        "service:\n"
        "  reference_path: ./references.parquet\n"
        "  use_reference: false\n"
        "  calculation_period_sec: 1\n"
        'prediction: ["Shirts", "Shoes"]\n'
    )
    # A bundle's folder has this beside them, by the name of the image's own package.
    (folder / "monitoring.py").write_text("raise SystemExit('not of the image')\n")
    name = f"ktt-test-{uuid.uuid4().hex[:8]}"
    options = ["--detach", "--name", name, "--read-only", "--tmpfs", "/tmp"]
    options += ["--publish", "127.0.0.1::5001", "--volume", f"{folder}:/config:ro"]
    docker("run", *options, image("monitoring"))
    try:
        wait_healthy(name)
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def ask(container: str, path: str, body: object = None) -> str:
    """Return what a container's one published port answers."""
    (published,) = docker("port", container).splitlines()
    data = None if body is None else json.dumps(body).encode()
    url = f"http://{published.split('->')[1].strip()}{path}"
    with urllib.request.urlopen(url, data, timeout=60) as answer:
        return str(answer.read().decode())


def test_the_monitor_s_image_watches(monitor: str) -> None:
    described = inspect(monitor)["Config"]
    assert described["User"] == f"{USER}:{USER}"
    assert described["Healthcheck"]["Test"][0] == "CMD"
    rows = [[None, 9 + number, 0.25, 0.75] for number in range(30)]
    assert json.loads(ask(monitor, "/iterate", {"data": rows})) == {"rows": 30, "repeated": 0}
    end = time.monotonic() + 120
    while 'ktt_monitoring_drift_alarm{monitor="data_drift"} 1' not in ask(monitor, "/metrics"):
        assert time.monotonic() < end, docker("logs", monitor)
        time.sleep(1)


def test_the_monitor_s_image_ends_in_order_and_keeps_its_rows(monitor: str) -> None:
    docker("stop", monitor)
    state = inspect(monitor)["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)
    docker("start", monitor)
    wait_healthy(monitor)
    assert "ktt_monitoring_window_rows 30" in ask(monitor, "/metrics")


def test_the_monitor_s_image_says_what_it_lacks(compose_command: list[str]) -> None:
    told = docker("run", "--rm", image("monitoring"), check=False)
    assert "/config/evidently.yaml" in told


def test_an_outside_model_added_to_the_images_is_trained_and_exported(
    ktt: Client, dataset: str
) -> None:
    ktt("train", dataset, "-m", "tfidf_nb")
    assert "100.00%" in ktt("export", dataset, "-m", "tfidf_nb")


def test_plain_text_is_for_this_machine_alone(stack: Stack) -> None:
    for service in SERVICES:
        published = docker("port", stack.container(service)).split("->")[1:]
        assert published
        assert [where for where in published if not where.strip().startswith("127.0.0.1:")] == []


def test_an_image_alone_refuses_plain_text_for_everybody(stack: Stack) -> None:
    assert "--insecure" in docker("run", "--rm", image("trainer"), check=False)


def test_from_a_table_to_a_graph(ktt: Client, dataset: str, tmp_path: Path) -> None:
    ktt("train", dataset, "-m", "tfidf_hsgd")
    ktt("export", dataset, "-m", "tfidf_hsgd", "--onnx", "--output", tmp_path)
    folder = tmp_path / f"tfidf_hsgd_{dataset}"
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in ("model.onnx", "hierarchy.json"):
        assert (folder / file).stat().st_size > 0
    assert manifest
    # What came out runs on this machine with nothing of KTT.
    alone = {"PYTHONPATH": os.pathsep.join(sys.path)}
    example = [sys.executable, "examples/onnx_predict.py", str(folder), "bread knife"]
    assert "Knives" in call(example, more=alone)
    answer = json.loads(ktt("predict", dataset, "-m", "tfidf_hsgd", "bread knife", "--json"))
    assert "Knives" in json.dumps(answer)
    assert "tfidf_hsgd" in ktt("jobs", "list")


def test_a_job_outlives_the_death_of_its_server(ktt: Client, stack: Stack, dataset: str) -> None:
    identifier = ktt("train", dataset, "-m", "tfidf_lsgd", "--detach").strip()
    stack.compose("kill", "-s", "SIGKILL", "trainer")
    stack.compose("start", "trainer")
    stack.wait_healthy("trainer")
    ktt("jobs", "watch", identifier)
    assert "SUCCEEDED" in ktt("jobs", "show", identifier).upper()


def test_a_stopped_service_ends_in_order(stack: Stack) -> None:
    stack.compose("stop", "exporter")
    state = json.loads(docker("inspect", exporter_of(stack)))[0]["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)
    stack.compose("start", "exporter")
    stack.wait_healthy("exporter")


def exporter_of(stack: Stack) -> str:
    return stack.compose("ps", "-a", "-q", "exporter").split()[-1]


def secrets(folder: Path) -> Path:
    """Write a certificate, its key and a token, for the containers' user alone."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ktt.example")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("ktt.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = serialization.PrivateFormat.PKCS8
    (folder / "tls.crt").write_bytes(certificate.public_bytes(pem))
    (folder / "tls.key").write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))
    (folder / "tokens").write_text(f"{uuid.uuid4().hex}\n")
    for file in [folder, *folder.iterdir()]:
        os.chown(file, USER, USER)
        file.chmod(0o700 if file.is_dir() else 0o600)
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="secrets for another user take a superuser")
def test_with_tls_and_tokens(
    compose_command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = secrets(tmp_path / "secrets")
    files = [COMPOSE_FILE, TLS_FILE]
    with running(compose_command, files, KTT_SECRETS=str(folder)) as stack:
        stack.wait_healthy("trainer")
        where = ["--address", f"127.0.0.1:{stack.environment['KTT_TRAINER_PUBLIC_PORT']}"]
        where += ["--ca-cert", str(folder / "tls.crt"), "--server-name", "ktt.example"]
        assert run([*where, "models"]) != 0
        assert "token" in capfd.readouterr().err
        assert run([*where, "--token-file", str(folder / "tokens"), "models"]) == 0
        assert "tfidf_hsgd" in capfd.readouterr().out
