"""`ktt` from end to end, in one workspace."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import Ktt

METRICS = {
    "leaf_accuracy",
    "leaf_precision",
    "leaf_macro_f1",
    "path_accuracy",
    "path_precision",
    "hierarchical_precision",
    "hierarchical_recall",
    "hierarchical_f1",
    "auprc_micro",
    "valid_paths",
    "calibration_error",
}


def test_the_road_from_a_file_to_an_answer(ktt: Ktt, shop: str, workspace: Path) -> None:
    trained = ktt("train", shop, "-m", "tfidf_hsgd,tfidf_lsgd", "-r", "--json")
    assert trained.code == 0, trained.err
    assert [(run["model"], run["error"]) for run in trained.json] == [
        ("tfidf_hsgd", None),
        ("tfidf_lsgd", None),
    ]

    evaluated = ktt("evaluate", shop, "-m", "tfidf_hsgd,tfidf_lsgd", "--json")
    assert [result["model"] for result in evaluated.json] == ["tfidf_hsgd", "tfidf_lsgd"]
    for result in evaluated.json:
        assert set(result) >= METRICS
        assert result["hierarchical_f1"] > 0.9
        assert result["valid_paths"] > 0.9

    predicted = ktt(
        "predict", shop, "-m", "tfidf_hsgd", "--top-k", "2", "--json", "red guitar", "snare drum 🥁"
    )
    assert [answer["predictions"][0]["path"] for answer in predicted.json] == [
        ["Music", "Guitars"],
        ["Music", "Drums"],
    ]
    checkpoints = ktt("checkpoints", "--json").json
    assert {(entry["model"], entry["label"]) for entry in checkpoints} == {
        ("tfidf_hsgd", "best"),
        ("tfidf_lsgd", "best"),
    }
    assert all(entry["reference"] for entry in checkpoints)
    older = checkpoints[0]["time"]
    assert ktt("evaluate", shop, "-m", checkpoints[0]["model"], "-t", older).code == 0


def test_a_dry_run_prints_metrics_and_writes_nothing(ktt: Ktt, shop: str, workspace: Path) -> None:
    before = sorted(workspace.rglob("*"))
    done = ktt("train", shop, "-m", "tfidf_hsgd", "-n")
    assert done.code == 0, done.err
    assert "hF1" in done.out
    assert sorted(path for path in workspace.rglob("*") if path.is_file()) == [
        path for path in before if path.is_file()
    ]


def test_epochs_and_settings_reach_the_model(ktt: Ktt, shop: str) -> None:
    assert ktt("train", shop, "-m", "tfidf_hsgd", "-e", "3", "--set", "seed=5").code == 0
    refused = ktt("train", shop, "-m", "tfidf_hsgd", "-e", "0")
    assert refused.code == 2


def test_a_hyperparameter_file_is_read_and_set_wins(
    ktt: Ktt, shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hyperparameters.json").write_text(json.dumps({"tfidf_hsgd": {"epochs": -1}}))
    assert ktt("train", shop, "-m", "tfidf_hsgd", "-n").code == 2
    assert ktt("train", shop, "-m", "tfidf_hsgd", "-n", "--set", "epochs=2").code == 0


def test_several_datasets_are_trained_one_after_another(ktt: Ktt, shop: str, source: Path) -> None:
    columns = ("--text", "title", "--classes", "category", "--sep", " > ")
    assert ktt("data", "import", source, "second", *columns, "--depth", "1").code == 0
    done = ktt("train", "shop,second", "-m", "tfidf_lsgd", "--json")
    assert [run["dataset"] for run in done.json] == ["shop", "second"]
    listed = ktt("data", "list", "--json").json
    assert [(entry["name"], entry["depth"]) for entry in listed] == [("second", 1), ("shop", 2)]


def test_texts_come_from_a_file_or_a_pipe(
    ktt: Ktt, shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ktt("train", shop, "-m", "tfidf_hsgd").code == 0
    texts = tmp_path / "texts.txt"
    texts.write_text("red guitar\ntennis ball\n", encoding="utf-8")
    from_file = ktt("predict", shop, "-m", "tfidf_hsgd", "--json", "-f", texts)
    assert [answer["text"] for answer in from_file.json] == ["red guitar", "tennis ball"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(texts.read_bytes())))
    assert ktt("predict", shop, "-m", "tfidf_hsgd", "--json").out == from_file.out


def test_min_confidence_shortens_paths(ktt: Ktt, shop: str) -> None:
    assert ktt("train", shop, "-m", "tfidf_hsgd").code == 0
    answers = ktt(
        "predict", shop, "-m", "tfidf_hsgd", "--min-confidence", "1", "--json", "qqq zzz"
    ).json
    assert answers[0]["predictions"][0]["path"] == []


@pytest.mark.parametrize(
    "command", ["data", "train", "evaluate", "predict", "models", "checkpoints"]
)
def test_every_command_explains_itself(ktt: Ktt, command: str) -> None:
    shown = ktt(command, "--help")
    assert shown.code == 0
    assert "Usage: ktt" in shown.out
    assert len(shown.out) > 150


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(ktt: Ktt, shell: str) -> None:
    assert "_KTT_COMPLETE" in ktt("completion", shell).out


def test_names_are_completed(ktt: Ktt, shop: str, workspace: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "KTT_WORKSPACE": str(workspace),
        "_KTT_COMPLETE": "bash_complete",
        "_KTT_LINE": "ktt train sh",
    }
    code = "import sys; sys.argv = ['ktt']; from cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert "plain,shop" in done.stdout, done.stderr


def test_what_libraries_do_at_the_very_end_changes_no_exit_code(tmp_path: Path) -> None:
    # `on_exit` runs where the static objects of C++ are destroyed, and some of them abort.
    code = (
        "import atexit, ctypes, sys, threading, time\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.on_exit(ctypes.cast(libc.abort, ctypes.c_void_p), None)\n"
        "atexit.register(print, 'done at exit')\n"
        "slow = lambda: (time.sleep(0.5), print('done in a thread'))\n"
        "threading.Thread(target=slow).start()\n"
        "from cli.main import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--workspace", str(tmp_path), "evaluate", "no", "-m", "no"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("Error: there is no model 'no'")
    assert done.stdout == "done in a thread\ndone at exit\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, contextlib, io\n"
        "from cli.main import run\n"
        "with contextlib.redirect_stdout(io.StringIO()): run(['models'])\n"
        "heavy = ('torch', 'sklearn', 'numba', 'scipy', 'transformers')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


_WRONG = [
    # What fails for a name.
    "train nosuch -m tfidf_hsgd",
    "train nosuch -m db_linear --encoder nosuch",
    "train shop -m nosuch",
    "train shop -m db_linear --encoder nosuch",
    "train shop -m all --encoder nosuch",
    "train shop -m db_linear --set nosuch=1",
    "train shop -m db_bhcn --set epochs=many",
    "train shop -m tfidf_hsgd --set nosuch=1",
    "evaluate nosuch -m db_linear",
    "evaluate shop -m nosuch",
    "evaluate shop -m db_linear",
    "evaluate shop -m tfidf_lsgd",
    "predict nosuch -m db_linear text",
    "predict shop -m nosuch text",
    "predict shop -m db_linear text",
    "export nosuch -m db_linear",
    "export shop -m nosuch",
    "export shop -m db_linear --bento",
    "data show nosuch",
    "data delete nosuch --yes",
    "models nosuch",
    "checkpoints -m nosuch",
    "jobs show nosuch",
    # And what shows hyperparameters.
    "models db_linear",
    "models db_ahmcnf",
]


def test_a_wrong_name_is_told_before_a_framework_is_imported(shop: str, workspace: Path) -> None:
    code = (
        "import sys, contextlib, io, json\n"
        "from cli.main import run\n"
        "found = {}\n"
        "for line in json.loads(sys.argv[2]):\n"
        "    out = io.StringIO()\n"
        "    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):\n"
        "        code = run(['--workspace', sys.argv[1], *line.split()])\n"
        "    heavy = {'torch', 'transformers', 'sklearn', 'scipy', 'numba'} & sys.modules.keys()\n"
        "    found[line] = code, sorted(heavy), out.getvalue()\n"
        "print(json.dumps(found))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    lines = [line.replace("shop", shop) for line in _WRONG]
    done = subprocess.run(
        [sys.executable, "-c", code, str(workspace), json.dumps(lines)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for line, (status, heavy, output) in json.loads(done.stdout).items():
        assert not heavy, f"{line}: {heavy}: {output}"
        assert (status == 0) == line.startswith("models db_"), f"{line}: {status}: {output}"
        assert "usage:" not in output.lower() and "bug" not in output, f"{line}: {output}"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_training_leaves_the_workspace_as_it_was(
    ktt: Ktt, shop: str, workspace: Path, signum: signal.Signals
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "cli.main", "--workspace", str(workspace)]
    process = subprocess.Popen(
        [*command, "train", shop, "-m", "tfidf_hsgd", "-e", "10000"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "fit" in line:
            break
    children = children_of(process.pid)
    assert children
    process.send_signal(signum)
    process.wait(timeout=30)
    assert process.returncode == (-signum if signum == signal.SIGKILL else 130)
    deadline = time.monotonic() + 15
    while any(is_running(child) for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(child) for child in children)
    assert not [path for path in workspace.rglob("best_*") if not path.name.startswith(".")]
    assert ktt("train", shop, "-m", "tfidf_hsgd").code == 0
    assert not list(workspace.rglob(".tmp-*"))


def children_of(pid: int) -> list[int]:
    """Return the child processes of a process, by /proc."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def is_running(pid: int) -> bool:
    """Tell whether a process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
