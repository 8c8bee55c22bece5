"""`ktt` as a client of a running trainer and exporter: the same commands, the same answers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from conftest import Ktt, Outcome, Server, rows, running

COLUMNS = ("--text", "title", "--classes", "category", "--sep", " > ")

NO_JOB = "00000000-0000-4000-8000-000000000000"

#: What differs from run to run, or from one workspace to another.
CHANGING = {
    "checkpoint",
    "checkpoint_path",
    "create_time",
    "createTime",
    "end_time",
    "eta",
    "fileName",
    "id",
    "last_event",
    "path",
    "progress",
    "reference",
    "reference_path",
    "runTime",
    "run_time",
    "seconds",
    "sha256",
    "start_time",
    "time",
}


@dataclass(frozen=True)
class Services:
    """A trainer and an exporter on one workspace, and `ktt` as their client."""

    trainer: Server
    exporter: Server
    workspace: Path

    @property
    def options(self) -> list[str]:
        return ["--address", self.trainer.address, "--exporter-address", self.exporter.address]

    def command(self, *arguments: object) -> list[str]:
        """Return a command line for a process of its own."""
        return [sys.executable, "-m", "cli.main", *self.options, *map(str, arguments)]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("services")
    workspace = folder / "workspace"
    roots = folder / "allowed"
    roots.mkdir()
    trainer = Server("trainer", workspace, "--allowed-root", str(roots))
    exporter = Server("exporter", workspace)
    with running(trainer, exporter):
        yield Services(trainer, exporter, workspace)


@pytest.fixture
def remote(
    services: Services,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Ktt:
    """Return a function that runs `ktt` on the services, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = run([*services.options, *map(str, arguments)])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def remote_shop(remote: Ktt, source: Path) -> str:
    """Have the dataset "shop" at the trainer, anew."""
    done = remote("data", "import", source, "shop", *COLUMNS, "--replace")
    assert done.code == 0, done.err
    return "shop"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def stable(value: Any) -> Any:
    """Return a JSON value without what changes from run to run."""
    if isinstance(value, dict):
        return {key: stable(entry) for key, entry in value.items() if key not in CHANGING}
    if isinstance(value, list):
        return [stable(entry) for entry in value]
    return value


# -- the same answers ------------------------------------------------------------------------------


def test_every_command_gives_the_same_json_and_the_same_tables(
    ktt: Ktt, remote: Ktt, source: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.csv"
    good = [f"{text},{' > '.join(path)}" for text, path in rows(40)]
    bad.write_text("\n".join(["title,category", *good, ",Sport > Shoes"]) + "\n")
    lines: list[tuple[object, ...]] = [
        ("data", "import", source, "same", *COLUMNS),
        ("data", "import", bad, "mended", *COLUMNS, "--on-error", "skip", "--depth", "1"),
        ("data", "list"),
        ("data", "show", "same"),
        ("data", "show", "mended"),
        ("models",),
        ("models", "tfidf_hsgd"),
        ("train", "same", "-m", "tfidf_hsgd", "-n"),
        ("train", "same,mended", "-m", "tfidf_hsgd,tfidf_lsgd", "-r", "--set", "seed=3"),
        ("checkpoints",),
        ("checkpoints", "-m", "tfidf_lsgd", "-d", "same"),
        ("evaluate", "same", "-m", "tfidf_hsgd,tfidf_lsgd"),
        ("evaluate", "same", "-m", "tfidf_hsgd", "--split", "val"),
        ("predict", "same", "-m", "tfidf_hsgd", "--top-k", "3", "red guitar", "snare 🥁", ""),
        ("predict", "same", "-m", "tfidf_lsgd", "--decoding", "independent", "red guitar"),
        ("predict", "same", "-m", "tfidf_lsgd", "--min-confidence", "1", "qqq"),
        ("export", "same", "-m", "tfidf_hsgd,tfidf_lsgd"),
        ("jobs", "list", "--kind", "training", "-d", "same", "-m", "tfidf_lsgd"),
        ("jobs", "list", "--state", "queued", "--state", "running"),
        ("data", "delete", "mended", "--yes"),
        ("data", "list"),
    ]
    for line in lines:
        here, there = ktt(*line, "--json"), remote(*line, "--json")
        assert (here.code, there.code) == (0, 0), (line, here.err, there.err)
        assert here.err == there.err == "", line
        assert stable(there.json) == stable(here.json), line
    figures = re.compile(r"\S*\d\d:\d\d\S*|\d+\.\d+ s\b|\d+\.\d$", re.M)
    folder = re.compile(r"^wrote \S+", re.M)
    for line in (
        ("data", "show", "same"),
        ("models", "tfidf_hsgd"),
        ("checkpoints",),
        ("train", "same", "-m", "tfidf_hsgd", "-n"),
        ("evaluate", "same", "-m", "tfidf_hsgd,tfidf_lsgd"),
        ("predict", "same", "-m", "tfidf_hsgd", "--top-k", "2", "red guitar"),
        ("export", "same", "-m", "tfidf_hsgd"),
    ):
        here, there = ktt(*line), remote(*line)
        shown = [
            folder.sub("wrote", figures.sub("N", outcome.out)).split() for outcome in (here, there)
        ]
        assert shown[0] == shown[1], line


@pytest.fixture
def trained(ktt: Ktt, shop: str, remote: Ktt, remote_shop: str) -> None:
    for call in (ktt, remote):
        assert call("train", "shop", "-m", "tfidf_hsgd", "-e", "2").code == 0


ERRORS: list[tuple[int, tuple[object, ...]]] = [
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--set", "epochs=-1")),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--set", "epochs=NaN")),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--set", "no_such_key=1")),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--set", "epochs=" + "9" * 4000)),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--set", "epochs=" + "9" * 10_000)),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--set", "stem=" + "x" * 10_000)),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "-e", "2", "--set", "epochs=3")),
    (3, ("train", "shpo", "-m", "tfidf_hsgd")),
    (3, ("train", "shop", "-m", "tfidf_hgsd")),
    (3, ("data", "show", "nothing")),
    (3, ("data", "delete", "nothing", "--yes")),
    (3, ("models", "nothing")),
    (3, ("checkpoints", "-m", "nothing")),
    (3, ("evaluate", "shop", "-m", "tfidf_hsgd", "--last")),
    (3, ("evaluate", "shop", "-m", "tfidf_lsgd,tfidf_hsgd")),
    (3, ("predict", "shop", "-m", "tfidf_hsgd", "-t", "2001-01-01T00:00:00", "x")),
    (3, ("predict", "nothing", "-m", "tfidf_hsgd", "x")),
    (2, ("export", "shop", "-m", "tfidf_hsgd", "--bento")),
    (3, ("export", "shop", "-m", "tfidf_lsgd")),
    (3, ("jobs", "show", NO_JOB)),
    (3, ("jobs", "watch", NO_JOB)),
    (3, ("jobs", "cancel", NO_JOB)),
    (3, ("jobs", "fetch", NO_JOB)),
    (2, ("jobs", "show", "no-such-job")),
    (2, ("jobs", "show", "../../etc/passwd")),
    (3, ("data", "import", "missing.csv", "x", *COLUMNS)),
    (4, ("data", "import", ".", "x", *COLUMNS)),
    (2, ("data", "import", "texts.txt", "x", *COLUMNS)),
    (4, ("data", "import", "bad.csv", "x", *COLUMNS)),
    (5, ("data", "import", "good.csv", "shop", *COLUMNS)),
    (4, ("data", "import", "good.csv", "x", "--text", "titel", *COLUMNS[2:])),
    (2, ("data", "import", "--server-path", "relative.csv", "x", *COLUMNS)),
    (2, ("predict", "shop", "-m", "tfidf_hsgd", "-f", "latin1.txt")),
]


def test_errors_have_the_same_type_and_exit_code(
    ktt: Ktt, remote: Ktt, trained: None, services: Services, tmp_path: Path
) -> None:
    good = ["title,category", *(f"{text},{' > '.join(path)}" for text, path in rows(40))]
    (tmp_path / "good.csv").write_text("\n".join(good) + "\n")
    (tmp_path / "bad.csv").write_text("\n".join([*good, ",Sport > Shoes"]) + "\n")
    (tmp_path / "texts.txt").write_text("text\n")
    (tmp_path / "latin1.txt").write_bytes(b"caf\xe9\n")
    before = remote("data", "list").out, remote("checkpoints").out
    for code, line in ERRORS:
        here, there = ktt(*line, "--json"), remote(*line, "--json")
        assert (here.code, there.code) == (code, code), (line, here.err, there.err)
        errors = [json.loads(outcome.err)["error"] for outcome in (here, there)]
        assert errors[0]["type"] == errors[1]["type"], (line, errors)
        assert "Traceback" not in there.err + here.err
        assert len(there.err) < 2500
    assert (remote("data", "list").out, remote("checkpoints").out) == before
    assert not list((services.workspace / "uploads").rglob("*.csv*"))


# -- datasets --------------------------------------------------------------------------------------


def test_a_file_at_the_server_need_not_be_sent(
    remote: Ktt, services: Services, source: Path
) -> None:
    allowed = services.workspace.parent / "allowed" / "shop.csv"
    allowed.write_bytes(source.read_bytes())
    done = remote("data", "import", "--server-path", allowed, "there", *COLUMNS)
    assert done.code == 0, done.err
    assert remote("data", "show", "there", "--json").json["depth"] == 2
    refused = remote("data", "import", "--server-path", source, "other", *COLUMNS)
    assert refused.code == 6
    assert "allow" in refused.err
    assert remote("data", "import", source, "--server-path", allowed, "x", *COLUMNS).code == 2


def test_a_dataset_is_deleted_only_when_that_is_meant(remote: Ktt, remote_shop: str) -> None:
    asked = remote("data", "delete", "shop")
    assert asked.code == 2
    assert "--yes" in asked.err
    assert remote("data", "delete", "shop", "--yes").code == 0
    assert remote("data", "show", "shop").code == 3


# -- jobs ------------------------------------------------------------------------------------------


def test_a_detached_training_is_a_job_to_come_back_to(remote: Ktt, remote_shop: str) -> None:
    detached = remote("train", "shop", "-m", "tfidf_hsgd,tfidf_lsgd", "--detach")
    assert detached.code == 0, detached.err
    ids = detached.out.split()
    assert len(ids) == 2
    watched = remote("jobs", "watch", ids[1], "--json")
    assert watched.code == 0
    events = [json.loads(line) for line in watched.out.splitlines()]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["state"] == "SUCCEEDED"
    again = remote("jobs", "watch", ids[1], "--json", "--after", len(events) - 1)
    assert again.out == watched.out.splitlines()[-1] + "\n"
    shown = remote("jobs", "show", ids[1], "--json").json
    assert (shown["state"], shown["model"]) == ("SUCCEEDED", "tfidf_lsgd")
    assert shown["result"]["metrics"]["test"]["hierarchical_f1"] > 0.9
    listed = remote("jobs", "list", "--kind", "training", "-m", "tfidf_lsgd", "-n", "1", "--json")
    assert [job["id"] for job in listed.json] == [ids[1]]
    assert "succeeded" in remote("jobs", "show", ids[1]).out
    assert ids[0] in remote("jobs", "list").out


def test_a_cancelled_job_publishes_nothing(remote: Ktt, remote_shop: str) -> None:
    before = remote("checkpoints", "--json").out
    detached = remote("train", "shop", "-m", "tfidf_hsgd", "-e", "10000", "--detach", "--json")
    job = detached.json[0]["id"]
    assert detached.json[0]["state"] in ("QUEUED", "RUNNING")
    assert remote("data", "delete", "shop", "--yes").code == 5
    assert remote("jobs", "cancel", job).code == 0
    watched = remote("jobs", "watch", job)
    assert watched.code == 1
    assert "cancelled" in watched.out
    assert remote("jobs", "cancel", job).out == f"{job}: cancelled\n"
    assert remote("checkpoints", "--json").out == before


def test_detaching_needs_a_trainer(ktt: Ktt, shop: str) -> None:
    refused = ktt("train", shop, "-m", "tfidf_hsgd", "--detach")
    assert refused.code == 2
    assert "--address" in refused.err


def test_nothing_is_submitted_if_one_run_is_wrong(remote: Ktt, remote_shop: str) -> None:
    before = remote("jobs", "list", "--json", "-n", "1000").json
    refused = remote("train", "shop,nothing", "-m", "tfidf_hsgd")
    assert refused.code == 3
    assert len(remote("jobs", "list", "--json", "-n", "1000").json) == len(before)


def test_a_run_that_fails_is_told_as_it_is_here(
    remote: Ktt, remote_shop: str, services: Services
) -> None:
    file = services.workspace / "datasets/shop/train.parquet"
    data = file.read_bytes()
    file.write_bytes(data[:200])
    try:
        assert remote("train", "shop", "-m", "tfidf_hsgd", "--json").code == 4
    finally:
        file.write_bytes(data)


# -- a server that goes away -----------------------------------------------------------------------


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def test_a_training_outlives_a_killed_trainer(
    remote: Ktt, remote_shop: str, services: Services
) -> None:
    command = services.command("train", "shop", "-m", "tfidf_hsgd", "-e", "700")
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "fit" in line:
            break
    services.trainer.stop(signal.SIGKILL)
    for line in process.stderr:
        if "lost the connection" in line:
            break
    services.trainer.start()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "connected" in err
    assert "wrote weights/tfidf_hsgd/shop/best_" in out
    newest = remote("jobs", "list", "--kind", "training", "-n", "1", "--json").json[0]
    assert (newest["state"], newest["attempt"]) == ("SUCCEEDED", 2)


def test_a_trainer_that_stays_away_is_given_up(
    remote: Ktt, remote_shop: str, services: Services
) -> None:
    command = services.command("train", "shop", "-m", "tfidf_hsgd", "-e", "10000")
    command[3:3] = ["--reconnect", "1"]
    process = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "fit" in line:
            break
    services.trainer.stop(signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    services.trainer.start()
    assert process.returncode == 7, err
    assert services.trainer.address in err
    running_jobs = remote("jobs", "list", "--state", "running", "--state", "queued", "--json").json
    assert remote("jobs", "cancel", *[job["id"] for job in running_jobs]).code == 0


def test_nobody_at_the_address_is_said_at_once(remote: Ktt, services: Services) -> None:
    started = time.monotonic()
    code = run(["--address", "localhost:1", "data", "list"])
    assert code == 7
    assert time.monotonic() - started < 20


def test_jobs_are_listed_without_an_exporter_that_nobody_named(
    services: Services, remote: Ktt, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    # On port 50052 of the trainer's host there is none in this test.
    assert run(["--address", services.trainer.address, "jobs", "list", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) is not None


# -- interrupts without a terminal -----------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_job_where_nobody_can_be_asked(
    remote: Ktt, remote_shop: str, services: Services, signum: signal.Signals
) -> None:
    process = subprocess.Popen(
        services.command("train", "shop", "-m", "tfidf_hsgd,tfidf_lsgd", "-e", "10000"),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "fit" in line:
            break
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "cancelled at the server" in err
    assert out == ""
    newest = remote("jobs", "list", "--kind", "training", "-n", "2", "--json").json
    assert [job["state"] for job in newest] == ["CANCELLED", "CANCELLED"]


def test_watching_ends_without_ending_the_job(
    remote: Ktt, remote_shop: str, services: Services
) -> None:
    done = remote("train", "shop", "-m", "tfidf_hsgd", "-e", "10000", "--detach")
    job = done.out.strip()
    process = subprocess.Popen(
        services.command("jobs", "watch", job),
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "fit" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "goes on" in err
    assert remote("jobs", "show", job, "--json").json["state"] == "RUNNING"
    assert remote("jobs", "cancel", job).code == 0


# -- exports ---------------------------------------------------------------------------------------


def test_a_folder_of_something_else_is_not_replaced(
    remote: Ktt, trained: None, tmp_path: Path
) -> None:
    assert remote("export", "shop", "-m", "tfidf_hsgd", "--output", "served").code == 0
    folder = tmp_path / "served/tfidf_hsgd_shop"
    assert remote("export", "shop", "-m", "tfidf_hsgd", "--output", "served").code == 0
    (folder / "manifest.json").write_text("{}")
    before = len(remote("jobs", "list", "--kind", "export", "--json").json)
    refused = remote("export", "shop", "-m", "tfidf_hsgd", "--output", "served")
    assert refused.code == 5
    assert "tfidf_hsgd_shop" in refused.err
    assert len(remote("jobs", "list", "--kind", "export", "--json").json) == before
    assert (folder / "manifest.json").read_text() == "{}"


def test_an_export_is_fetched_again_by_its_job(remote: Ktt, trained: None, tmp_path: Path) -> None:
    assert remote("export", "shop", "-m", "tfidf_hsgd", "--output", "one").code == 0
    job = remote("jobs", "list", "--kind", "export", "-n", "1", "--json").json[0]["id"]
    fetched = remote("jobs", "fetch", job, "--output", "two", "--json")
    assert fetched.code == 0, fetched.err
    one, two = (tmp_path / place / "tfidf_hsgd_shop" for place in ("one", "two"))
    names = sorted(path.relative_to(one) for path in one.rglob("*"))
    assert names == sorted(path.relative_to(two) for path in two.rglob("*"))
    assert all(
        (one / n).read_bytes() == (two / n).read_bytes() for n in names if (one / n).is_file()
    )
    training = remote("jobs", "list", "--kind", "training", "-n", "1", "--json").json[0]["id"]
    assert remote("jobs", "fetch", training).code == 5


def test_threads_are_not_left_behind(remote: Ktt) -> None:
    before = threading.active_count()
    for _ in range(3):
        assert remote("data", "list").code == 0
    assert threading.active_count() <= before + 1
