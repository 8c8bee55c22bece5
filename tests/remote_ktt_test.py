"""`ktt` as a client of a running trainer and exporter: the same commands, the same answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from conftest import COLUMNS, Ktt, Services, environment, rows

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
    "report",
    "report_path",
    "runTime",
    "run_time",
    "seconds",
    "sha256",
    "start_time",
    "texts_per_second",
    "time",
}


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
    fresh = tmp_path / "fresh.csv"
    known = [f"a {text},{' > '.join(path)}" for text, path in rows(40)]
    fresh.write_text("\n".join(["title,category", *known, "kazoo,Music > Kazoos", "?,Art"]) + "\n")
    wrong = ("--errors", tmp_path / "wrong.csv")
    lists = []
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
        ("evaluate", "same", "-m", "all"),
        ("evaluate", "same", "-m", "tfidf_hsgd", "--on", "same", "--split", "val"),
        ("evaluate", "same", "-m", "tfidf_hsgd,tfidf_lsgd", "--on", fresh, *wrong),
        ("evaluate", "same", "-m", "tfidf_hsgd", "--on", fresh, "--compare", "/tfidf_lsgd"),
        ("evaluate", "same", "-m", "tfidf_hsgd", "--compare", "same/tfidf_lsgd", "--unseen"),
        ("encoders", "list"),
        ("predict", "same", "-m", "tfidf_hsgd", "--top-k", "3", "red guitar", "snare 🥁", "?"),
        ("predict", "same", "-m", "tfidf_lsgd", "--decoding", "independent", "red guitar"),
        ("predict", "same", "-m", "tfidf_lsgd", "--min-confidence", "1", "qqq"),
        ("export", "same", "-m", "tfidf_hsgd,tfidf_lsgd"),
        ("jobs", "list", "--kind", "training", "-d", "same", "-m", "tfidf_lsgd"),
        ("jobs", "list", "--state", "queued", "--state", "running"),
        ("data", "delete", "mended", "--yes"),
        ("data", "list"),
    ]
    for line in lines:
        outcomes = []
        for program in (ktt, remote):
            outcomes.append(program(*line, "--json"))
            if "--errors" in line:
                lists.append(re.sub(r"\d\d:\d\d:\d\d", "", wrong[1].read_text()))
                wrong[1].unlink()
        here, there = outcomes
        assert (here.code, there.code) == (0, 0), (line, here.err, there.err)
        assert here.err == there.err == "", line
        assert stable(there.json) == stable(here.json), line
    assert lists[0] == lists[1] and "kazoo,Music > Kazoos," in lists[0]
    figures = re.compile(r"\S*\d\d:\d\d\S*|\d+\.\d+ s\b|\d+\.\d$", re.M)
    folder = re.compile(r"^wrote \S+|^seconds .*|^texts per second .*", re.M)
    for line in (
        ("data", "show", "same"),
        ("models", "tfidf_hsgd"),
        ("checkpoints",),
        ("encoders", "list"),
        ("train", "same", "-m", "tfidf_hsgd", "-n"),
        ("evaluate", "same", "-m", "tfidf_hsgd,tfidf_lsgd"),
        ("evaluate", "same", "-m", "tfidf_hsgd", "--on", fresh, "--compare", "/tfidf_lsgd"),
        ("predict", "same", "-m", "tfidf_hsgd", "--top-k", "2", "red guitar"),
        ("export", "same", "-m", "tfidf_hsgd"),
    ):
        here, there = ktt(*line), remote(*line)
        shown = [
            folder.sub("wrote", figures.sub("N", outcome.out)).split() for outcome in (here, there)
        ]
        assert shown[0] == shown[1], line


CLASSES = ("--classes", "category")
ERRORS: list[tuple[int, tuple[object, ...]]] = [
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--set", "epochs=-1")),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--set", "epochs=NaN")),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--set", "no_such_key=1")),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--set", "epochs=" + "9" * 4000)),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--set", "epochs=" + "9" * 10_000)),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--set", "stem=" + "x" * 10_000)),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "-e", "2", "--set", "epochs=3")),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--encoder", "distilbert-base-uncased")),
    (3, ("train", "shop", "-m", "db_linear", "--encoder", "no-such-encoder")),
    (5, ("train", "shop", "-m", "tfidf_hsgd", "--resume")),
    (5, ("train", "shop", "-m", "db_linear,tfidf_hsgd", "--resume")),
    (3, ("train", "shop", "-m", "db_linear", "--resume", "-t", "2001-01-01T00:00:00")),
    (2, ("train", "shop", "-m", "db_linear", "-t", "2001-01-01T00:00:00")),
    (2, ("train", "shop", "-m", "tfidf_hsgd", "--resume", "-n")),
    (3, ("train", "shpo", "-m", "tfidf_hsgd")),
    (3, ("train", "shop", "-m", "tfidf_hgsd")),
    (3, ("data", "show", "nothing")),
    (3, ("data", "delete", "nothing", "--yes")),
    (3, ("models", "nothing")),
    (3, ("checkpoints", "-m", "nothing")),
    (3, ("evaluate", "shop", "-m", "tfidf_hsgd", "--last")),
    (3, ("evaluate", "shop", "-m", "all", "--last")),
    (3, ("evaluate", "shop", "-m", "tfidf_lsgd,tfidf_hsgd")),
    (2, ("evaluate", "shop", "-m", "tfidf_hsgd", "--text", "title")),
    (2, ("evaluate", "shop", "-m", "tfidf_hsgd", "--on", "texts.txt")),
    (2, ("evaluate", "shop", "-m", "tfidf_hsgd", "--on", "good.csv", "--split", "val")),
    (2, ("evaluate", "shop", "-m", "tfidf_hsgd", "--on", "good.csv", "--classes", "title")),
    (2, ("evaluate", "shop", "-m", "tfidf_hsgd", "--on", "good.csv", "--errors", "good.csv")),
    (2, ("evaluate", "shop", "-m", "tfidf_hsgd", "--errors", "wrong.txt")),
    (2, ("evaluate", "shop", "-m", "tfidf_hsgd", "--compare", "shop@yesterday")),
    (2, ("evaluate", "shop", "-m", "tfidf_hsgd", "--compare", "shop")),
    (3, ("evaluate", "shop", "-m", "tfidf_hsgd", "--compare", "nothing")),
    (3, ("evaluate", "shop", "-m", "tfidf_hsgd", "--on", "nothing")),
    (3, ("evaluate", "shop", "-m", "tfidf_hsgd", "--on", "missing.csv")),
    (4, ("evaluate", "shop", "-m", "tfidf_hsgd", "--on", "bad.csv")),
    (4, ("evaluate", "shop", "-m", "tfidf_hsgd", "--on", "good.csv", "--sep", " ", *CLASSES)),
    (5, ("evaluate", "shop", "-m", "tfidf_hsgd", "--split", "train", "--unseen")),
    (3, ("predict", "shop", "-m", "tfidf_hsgd", "-t", "2001-01-01T00:00:00", "x")),
    (3, ("predict", "nothing", "-m", "tfidf_hsgd", "x")),
    (2, ("export", "shop", "-m", "tfidf_hsgd", "--bento", "--gpu")),
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
    (4, ("predict", "shop", "-m", "tfidf_hsgd", "-f", "latin1.txt")),
    (4, ("predict", "shop", "-m", "tfidf_hsgd", "-f", "blank.txt")),
    (2, ("predict", "shop", "-m", "tfidf_hsgd", "text", " ")),
]


def test_errors_have_the_same_type_and_exit_code(
    ktt: Ktt, remote: Ktt, trained: None, services: Services, tmp_path: Path
) -> None:
    good = ["title,category", *(f"{text},{' > '.join(path)}" for text, path in rows(40))]
    (tmp_path / "good.csv").write_text("\n".join(good) + "\n")
    (tmp_path / "bad.csv").write_text("\n".join([*good, ",Sport > Shoes"]) + "\n")
    (tmp_path / "texts.txt").write_text("text\n")
    (tmp_path / "latin1.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "blank.txt").write_text("text\n \n")
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


def test_a_file_for_a_name_that_is_taken_is_not_sent(
    remote: Ktt, trained: None, source: Path
) -> None:
    refused = remote("data", "import", source, "shop", *COLUMNS)
    assert refused.code == 5
    assert "--replace" in refused.err
    assert "upload" not in refused.err


def test_a_file_at_the_server_need_not_be_sent(
    remote: Ktt, trained: None, services: Services, source: Path
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
    evaluating = ("evaluate", "shop", "-m", "tfidf_hsgd", "--server-path")
    assert remote(*evaluating, allowed, "--json").json[0]["on"] == "shop.csv"
    assert remote(*evaluating, source).code == 6
    assert remote(*evaluating, "/etc/passwd").code == 6


def test_a_dataset_is_deleted_only_when_that_is_meant(remote: Ktt, remote_shop: str) -> None:
    asked = remote("data", "delete", "shop")
    assert asked.code == 2
    assert "--yes" in asked.err
    assert remote("data", "delete", "shop", "--yes").code == 0
    assert remote("data", "show", "shop").code == 3


# -- completion and help ---------------------------------------------------------------------------


def test_names_at_the_server_are_completed(
    remote: Ktt, remote_shop: str, services: Services
) -> None:
    def complete(address: str, words: str) -> str:
        completing = {
            **environment(),
            "KTT_ADDRESS": address,
            "_KTT_COMPLETE": "bash_complete",
            "_KTT_LINE": words,
        }
        code = "import sys; sys.argv = ['ktt']; from cli.main import main; main()"
        return subprocess.run(
            [sys.executable, "-c", code], env=completing, capture_output=True, text=True
        ).stdout

    assert "plain,shop" in complete(services.trainer.address, "ktt train sh")
    assert "plain,tfidf_hsgd" in complete(services.trainer.address, "ktt models tfidf_h")
    started = time.monotonic()
    assert complete("localhost:1", "ktt train sh").strip() == ""
    assert time.monotonic() - started < 10


def test_help_and_completion_need_none_of_the_services_libraries() -> None:
    code = (
        "import sys, contextlib, io\n"
        "from cli.main import run\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    codes = [run([*command, '--help']) for command in ([], ['train'], ['jobs', 'list'])]\n"
        "    codes.append(run(['completion', 'bash']))\n"
        "heavy = ('grpc', 'google.protobuf', 'sqlalchemy', 'numpy', 'pydantic')\n"
        "print(codes, [name for name in heavy if name in sys.modules])"
    )
    for address in ("", "localhost:1"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**environment(), "KTT_ADDRESS": address},
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip() == "[0, 0, 0, 0] []", done.stdout + done.stderr


def test_threads_are_not_left_behind(remote: Ktt) -> None:
    before = threading.active_count()
    for _ in range(3):
        assert remote("data", "list").code == 0
    assert threading.active_count() <= before + 1
