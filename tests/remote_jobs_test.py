"""Jobs at a running trainer: left, watched, cancelled, and what comes of them when it goes away."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cli.main import run
from conftest import Ktt, Services, environment


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
    assert "continues" in err
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
