"""All models with one command: trained, watched, killed, resumed, evaluated, exported, and run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from conftest import COLUMNS, Ktt, Server, Services, environment, free_port, running
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder

# Each trains and exports several encoder models.
pytestmark = pytest.mark.timeout(1800)

ROOT = Path.cwd()
PRODUCTS = ROOT / "examples/products.csv"
EXAMPLE = ROOT / "examples/onnx_predict.py"
ENCODER_MODELS = ["db_achmcnn", "db_ahmcnf", "db_bhcn", "db_bhcn_awx", "db_linear"]
MODELS = sorted([*ENCODER_MODELS, "tfidf_hsgd", "tfidf_lsgd"])
SEVEN = ",".join(MODELS)
TEXTS = ["electric kettle 1.7 l", "leather sandals", "?", "\u00fcml\u00e4uts \u2603, a tab\there"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    return write_tiny_encoder(folder, PRODUCTS.read_text().splitlines(), width=64)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write rates that a tiny encoder learns with, for each of the models that have them."""
    file = tmp_path_factory.mktemp("settings") / "hyperparameters.json"
    rates = {"encoder_lr": 0.003, "classifier_lr": 0.01, "batch_size": 16, "epochs": 8}
    file.write_text(json.dumps({model: rates for model in ENCODER_MODELS}))
    return file


def train(models: str, tiny: Path, settings: Path, *more: object) -> tuple[object, ...]:
    given = ("--encoder", tiny, "--hyperparameters", settings)
    return ("train", "products", "-m", models, *given, *more)


def import_products(ktt: Ktt) -> None:
    done = ktt("data", "import", PRODUCTS, "products", *COLUMNS)
    assert done.code == 0, done.err


def start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen[str], *texts: str) -> str:
    """Read what a command tells of its progress until a line has all of these texts."""
    assert process.stderr is not None
    read = ""
    for line in process.stderr:
        read += line
        if all(text in line for text in texts):
            return read
    raise AssertionError(f"it ended without {texts}:\n{read}")


def answer(folder: Path, texts: list[str]) -> list[tuple[str, float]]:
    """Run the example on an exported folder where there is no torch, and nothing of ours."""
    code = (
        "import runpy, sys\n"
        "missing = ('torch', 'transformers', 'sklearn', 'ktt_core', 'ktt_models')\n"
        "sys.modules |= dict.fromkeys(missing)\n"
        "sys.path = [p for p in sys.argv.pop(1).split(':') if p] + sys.path\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    packages = [path for path in sys.path if "site-packages" in path]
    command = [sys.executable, "-I", "-c", code, ":".join(packages), str(EXAMPLE), str(folder)]
    done = subprocess.run(
        [*command, *texts], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = [line.rsplit("\t", 1) for line in done.stdout.splitlines()]
    return [(path, float(probability)) for path, probability in lines]


def answers_as_the_checkpoint(ktt: Ktt, model: str, folder: Path) -> None:
    predicted = ktt("predict", "products", "-m", model, "--json", *TEXTS)
    assert predicted.code == 0, predicted.err
    expected = [entry["predictions"][0] for entry in predicted.json]
    found = answer(folder, TEXTS)
    assert [path for path, _ in found] == [" > ".join(entry["path"]) for entry in expected]
    for (_, probability), entry in zip(found, expected, strict=True):
        assert probability == pytest.approx(entry["probability"], abs=2e-3)


def test_all_models_with_one_command(ktt: Ktt, workspace: Path, tiny: Path, settings: Path) -> None:
    import_products(ktt)
    trained = ktt(*train("all", tiny, settings, "-r", "--json"))
    assert trained.code == 0, trained.err
    assert {run["model"] for run in trained.json} >= set(MODELS)
    assert {run["error"] for run in trained.json} == {None}
    for model in MODELS:
        (folder,) = (workspace / "weights" / model).iterdir()
        names = {path.name for path in folder.iterdir()}
        assert sum(name.endswith("_report.html") for name in names) == 1, names
        assert sum(name.endswith("_reference.parquet") for name in names) == 1, names
    evaluated = ktt("evaluate", "products", "-m", SEVEN, "--json")
    assert evaluated.code == 0, evaluated.err
    figures = {entry["model"]: entry["hierarchical_f1"] for entry in evaluated.json}
    assert sorted(figures) == MODELS
    assert min(figures.values()) > 0.6, figures
    exported = ktt("export", "products", "-m", SEVEN)
    assert exported.code == 0, exported.err
    for model in MODELS:
        answers_as_the_checkpoint(ktt, model, workspace / f"outputs/{model}_products")


@pytest.fixture
def uninterrupted(ktt: Ktt, tiny: Path, settings: Path) -> Any:
    """Train a model in one go, and return its metrics."""
    import_products(ktt)
    done = ktt(*train("db_bhcn_awx", tiny, settings, "--dry-run", "--json"))
    assert done.code == 0, done.err
    return done.json[0]["metrics"]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_a_training_that_was_ended_is_resumed_to_the_same_numbers(
    ktt: Ktt,
    workspace: Path,
    tiny: Path,
    settings: Path,
    uninterrupted: Any,
    signum: signal.Signals,
) -> None:
    models = "tfidf_hsgd,db_bhcn_awx,db_linear"
    command = [sys.executable, "-m", "cli.main", "--workspace", str(workspace)]
    process = start([*command, *map(str, train(models, tiny, settings))])
    wait_for(process, "db_bhcn_awx", "validate")
    # The state is kept after an epoch's validation, while training goes on.
    deadline = time.monotonic() + 60
    while not list(workspace.glob("weights/db_bhcn_awx/products/last_*.safetensors")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if signum == signal.SIGKILL:
        os.killpg(process.pid, signum)
    else:
        process.send_signal(signum)
    _, err = process.communicate(timeout=120)
    assert process.returncode == (-signum if signum == signal.SIGKILL else 130)
    if signum == signal.SIGINT:
        assert "--resume" in err
    assert len(list(workspace.glob("weights/tfidf_hsgd/products/best_*"))) == 1
    (last,) = workspace.glob("weights/db_bhcn_awx/products/last_*.safetensors")
    assert not list(workspace.glob("weights/db_bhcn_awx/products/best_*"))

    deadline = time.monotonic() + 60
    unfit = ktt("train", "products", "-m", "db_bhcn_awx", "--resume", "--set", "seed=7")
    while "is running in process" in unfit.err and time.monotonic() < deadline:
        # The killed command's worker is just about to notice.
        time.sleep(0.5)
        unfit = ktt("train", "products", "-m", "db_bhcn_awx", "--resume", "--set", "seed=7")
    assert unfit.code in (2, 5) and "seed" in unfit.err
    resumed = ktt("train", "products", "-m", "db_bhcn_awx", "--resume", "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json[0]["metrics"] == uninterrupted
    (best,) = workspace.glob("weights/db_bhcn_awx/products/best_*.safetensors")
    assert best.stem.removeprefix("best_") == last.stem.removeprefix("last_")
    again = ktt("train", "products", "-m", "db_bhcn_awx", "--resume")
    assert again.code == 5, again.err
    assert "Traceback" not in again.err


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Services]:
    """Run services that offer the folder with the encoder."""
    workspace = tmp_path_factory.mktemp("served") / "workspace"
    trainer = Server("trainer", workspace, "--allowed-root", str(tiny.parent))
    exporter = Server("exporter", workspace)
    with running(trainer, exporter):
        yield Services(trainer, exporter, workspace)


def at(services: Services, *arguments: object) -> Any:
    """Run `ktt` as a client in a process of its own, and return what it says as JSON."""
    done = subprocess.run(
        services.command(*arguments, "--json"), env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_services_train_all_models_and_outlive_a_kill(
    served: Services, tiny: Path, settings: Path, tmp_path: Path
) -> None:
    at(served, "data", "import", PRODUCTS, "products", *COLUMNS)
    process = start(served.command(*train(SEVEN, tiny, settings)))
    told = wait_for(process, "db_bhcn ", "validate")
    told += wait_for(process, "db_bhcn ", "validate")
    served.trainer.stop(signal.SIGKILL)
    told += wait_for(process, "lost the connection")
    served.trainer.start()
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, told + err
    jobs = at(served, "jobs", "list", "--kind", "training")
    assert sorted(job["model"] for job in jobs) == MODELS
    assert {job["state"] for job in jobs} == {"SUCCEEDED"}
    killed = [job for job in jobs if job["attempt"] == 2]
    assert [job["model"] for job in killed] == ["db_bhcn"]
    checkpoints = at(served, "checkpoints")
    assert {entry["model"] for entry in checkpoints} == set(MODELS)
    evaluated = at(served, "evaluate", "products", "-m", SEVEN)
    assert len(evaluated) == 7
    for entry in evaluated:
        assert entry["hierarchical_f1"] > 0.6, entry
    exported = at(served, "export", "products", "-m", SEVEN, "--output", tmp_path / "out")
    assert len(exported) == 7
    for model in MODELS:
        assert len(answer(tmp_path / f"out/{model}_products", ["kettle"])) == 1


def test_a_cancelled_job_is_continued_at_the_server(
    served: Services, tiny: Path, settings: Path
) -> None:
    at(served, "data", "import", PRODUCTS, "products", *COLUMNS, "--replace")
    (job,) = at(served, *train("db_linear", tiny, settings, "-e", 300, "--detach"))
    watching = start(served.command("jobs", "watch", job["id"]))
    wait_for(watching, "validate")
    started = time.monotonic()
    at(served, "jobs", "cancel", job["id"])
    watching.communicate(timeout=60)
    assert time.monotonic() - started < 30
    assert at(served, "jobs", "show", job["id"])["state"] == "CANCELLED"
    (resumed,) = at(served, "train", "products", "-m", "db_linear", "--resume", "--detach")
    watching = start(served.command("jobs", "watch", resumed["id"]))
    wait_for(watching, "validate")
    at(served, "jobs", "cancel", resumed["id"])
    watching.communicate(timeout=60)
    times: dict[str, set[str]] = {"best": set(), "last": set()}
    for entry in at(served, "checkpoints"):
        if entry["model"] == "db_linear":
            times[entry["label"]].add(entry["time"])
    assert len(times["last"] - times["best"]) == 1, times


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """Return the addresses that a process and all below it listen on."""
    found = set()
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            for connection in one.net_connections("inet"):
                if connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE):
                    found.add((connection.laddr.ip, connection.laddr.port))
    return found


def test_every_port_of_every_process_is_on_this_machine_alone(
    tmp_path: Path, tiny: Path, settings: Path
) -> None:
    workspace = tmp_path / "workspace"
    metrics = [free_port(), free_port()]
    allowed = ("--allowed-root", str(tiny.parent))
    trainer = Server("trainer", workspace, "--metrics", "--metrics-port", str(metrics[0]), *allowed)
    exporter = Server("exporter", workspace, "--metrics", "--metrics-port", str(metrics[1]))
    with running(trainer, exporter):
        services = Services(trainer, exporter, workspace)
        at(services, "data", "import", PRODUCTS, "products", *COLUMNS)
        (job,) = at(
            services, *train("db_linear", tiny, settings, "--set", "processes=2", "--detach")
        )
        watching = start(services.command("jobs", "watch", job["id"]))
        this, found, most = psutil.Process(), set(), 0
        while watching.poll() is None:
            found |= listening(this)
            most = max(most, len(this.children(recursive=True)))
            time.sleep(0.05)
        watching.communicate()
        assert at(services, "jobs", "show", job["id"])["state"] == "SUCCEEDED"
        # The services, the job, the two processes that train and the client.
        assert most >= 6
    assert {ip for ip, _ in found} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert {port for _, port in found} >= {trainer.port, exporter.port, *metrics}
