"""An export to a bundle, with stand-ins for the packer: what it is given, and how it may fail."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import signal
import stat
import sys
import tarfile
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter import Exporter, ExportSpec
from exporter.conftest import TIME, wait_for
from exporter.exporting import run_export
from exporter.job_kind import EXPORT
from exporter.manifests import read_manifest
from exporter.results import MonitoringResult
from ktt_core.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    JobFailedError,
    KttError,
    ResourceExhaustedError,
    UnsupportedError,
)
from ktt_core.reference import write_reference
from ktt_core.registry import get_model
from ktt_core.workspace import Workspace
from ktt_jobs import JobEvent, TaskContext
from ktt_jobs.context import EventWriter
from ktt_packing.client import monitoring

SPEC = ExportSpec("shop", "tfidf_hsgd", format="bento")
JOB = "0b5e6f1c-2f7a-4d7e-9d55-6a1f0c3e8b42"

# What stands for the packer. It keeps the request, and makes a bundle as small as can be.
_BEGIN = """
import json, os, pathlib, shutil, signal, subprocess, sys, time
request = json.loads(pathlib.Path(sys.argv[1]).read_text())
here = pathlib.Path(__file__).parent
output = pathlib.Path(request["output"])
def seen(**more):
    (here / "seen.json").write_text(json.dumps({**request, **more}))
def pack():
    service = output / "inference" / "Service"
    shutil.copytree(request["artifacts"], service / "artifacts" / "model")
    (output / "inference" / "empty" / "too").mkdir(parents=True)
    (output / "inference" / "init.sh").write_text("#!/bin/sh\\n")
    (output / "inference" / "init.sh").chmod(0o755)
    if request["monitoring"]:
        (output / "monitoring").mkdir()
        shutil.copy(request["monitoring"]["evidently_config"], output / "monitoring")
        shutil.copy(request["monitoring"]["reference_set_path"], output / "monitoring")
    print("some talk")
    print(json.dumps({"inference": str(output / "inference")}))
"""
WORKS = "seen(); pack()"


@pytest.fixture
def packer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that sets the packer to a program of this code, and returns its folder."""

    def use(code: str) -> Path:
        folder = tmp_path / "packer"
        folder.mkdir(exist_ok=True)
        (folder / "packer.py").write_text(_BEGIN + textwrap.dedent(code))
        program = folder / "packer"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/packer.py" "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("KTT_PACKER", str(program))
        return folder

    return use


@pytest.fixture
def folder(workspace: Path) -> Path:
    """Return a job's folder."""
    folder = workspace / "jobs/exporter" / JOB
    (folder / "files").mkdir(parents=True)
    return folder


def run(folder: Path, spec: ExportSpec = SPEC) -> dict[str, Any]:
    """Run the job here."""
    return run_export(spec.to_json(), TaskContext(JOB, 1, folder, EventWriter(io.StringIO())))


def add_reference(workspace: Path, model_id: str = "tfidf_hsgd", as_of: str = "") -> Path:
    """Write a reference set as a run does; `as_of` puts another model's in its place."""
    places = Workspace(workspace)
    dataset = places.open_dataset("shop")
    weights = places.weights_folder(model_id, "shop")
    model = get_model(model_id).from_checkpoint(weights / f"best_{TIME}.safetensors")
    loader = model.get_dataloader_func()(dataset.split("test"), model.preprocessor, model.config)
    path = places.weights_folder(as_of or model_id, "shop") / f"last_{TIME}_reference.parquet"
    write_reference(model.gen_reference_set(loader), path)
    return path


def test_a_bundle_is_packed_from_what_was_compared_and_published_with_its_manifest(
    packer: Callable[[str], Path], workspace: Path, folder: Path
) -> None:
    seen = packer("""
        sources = pathlib.Path(request["sources"])
        names = sorted(path.relative_to(sources).as_posix() for path in sources.rglob("*.py"))
        seen(names=names, variables=dict(os.environ))
        pack()
        """)
    result = run(folder)
    assert result["path"] == "build/tfidf_hsgd_shop"
    bundle = workspace / result["path"]
    manifest = read_manifest(bundle)
    assert (manifest.format, manifest.model, manifest.dataset) == ("bento", "tfidf_hsgd", "shop")
    assert manifest.checkpoint.run_time == TIME
    assert (manifest.opset, manifest.ir_version) == (0, 0)
    assert (manifest.parity.rows, manifest.parity.top_path_agreement) == (16, 1.0)
    assert manifest.parity.max_probability_difference <= manifest.parity.tolerated_difference
    there = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert {file.path for file in manifest.files} == there - {"manifest.json"}
    assert "inference/Service/artifacts/model/weights.npz" in there
    assert not (bundle / "inference/empty").exists(), "an archive has no empty folders"

    request = json.loads((seen / "seen.json").read_text())
    names, variables = request.pop("names"), request.pop("variables")
    for name in ("artifacts", "output", "sources"):
        assert os.path.isabs(request.pop(name))
    assert request == {
        "format_version": 1,
        "model": "tfidf_hsgd",
        "dataset": "shop",
        "display_name": "Tf-idf, one classifier per class",
        "service_module": "ktt_models.tfidf_hsgd.bentoml.svc_lts",
        "service_version": "20260131T123456",
        "gpu": False,
        "monitoring": None,
    }
    for name in ("ktt_core/taxonomy.py", "ktt_packing/packer/pack.py", "monitoring/monitoring.py"):
        assert name in names
    assert "ktt_models/tfidf_hsgd/bentoml/svc_lts.py" in names
    assert not {"ktt_core/model.py", "ktt_models/tfidf_hsgd/tfidf_hsgd.py"} & set(names)
    assert not [name for name in names if name.endswith("_test.py")]
    assert "PYTHONPATH" not in variables
    assert variables["BENTOML_DO_NOT_TRACK"] == "True"
    # Nothing is left but what the job keeps.
    assert not list(folder.glob("**/artifacts-*")) and not list(folder.glob("**/pack-*"))


@pytest.mark.parametrize("monitoring", [True, False])
def test_monitoring_is_that_of_the_checkpoint_s_run(
    packer: Callable[[str], Path], workspace: Path, folder: Path, monitoring: bool
) -> None:
    seen, reference = packer(WORKS), add_reference(workspace)
    later = reference.with_name("last_2026-02-01T00:00:00_reference.parquet")
    later.write_bytes(b"of a later run")
    run(folder, dataclasses.replace(SPEC, monitoring=monitoring))
    request = json.loads((seen / "seen.json").read_text())
    bundle = workspace / "build/tfidf_hsgd_shop"
    assert (request["monitoring"] is not None) == (bundle / "monitoring").exists() == monitoring
    if monitoring:
        assert request["monitoring"]["grafana_dashboard_path"].endswith("/dashboard.json")
        assert (bundle / "monitoring" / reference.name).read_bytes() == reference.read_bytes()
        settings = (bundle / "monitoring/evidently.yaml").read_text().splitlines()
        assert "service:" in settings
        assert "reference set has no more rows" in "".join(settings)
        found = json.loads(settings[-1].removeprefix("prediction: "))
        assert found == pq.read_schema(reference).names[-len(found) :]


def test_without_a_reference_set_there_is_a_service_alone(
    packer: Callable[[str], Path],
    workspace: Path,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    packer(WORKS)
    run(folder)
    assert not (workspace / "build/tfidf_hsgd_shop/monitoring").exists()
    assert f"there is no last_{TIME}_reference.parquet" in capsys.readouterr().out


def settings_of(bundle: Path) -> dict[str, Any]:
    """Return the numbers and lists of a bundle's evidently.yaml, each on a line of its own."""
    text = (bundle / "monitoring/evidently.yaml").read_text()
    fields = re.findall(r"(?m)^ *(\w+): *(\[.*\]|\d+)(?: *#.*)?$", text)
    return {name: json.loads(value) for name, value in fields}


def test_people_s_names_stand_beside_the_columns(
    packer: Callable[[str], Path], workspace: Path, folder: Path
) -> None:
    packer(WORKS)
    reference = add_reference(workspace)
    result = run(folder)
    settings = settings_of(workspace / result["path"])
    taxonomy = Workspace(workspace).open_dataset("shop").taxonomy
    assert settings["labels"] == ["\n".join(path) for path in taxonomy.leaf_paths]
    features = [name for name in pq.read_schema(reference).names if name.isdecimal()]
    assert len(settings["feature_titles"]) == len(features)
    assert settings["feature_titles"][-2:] == ["text length", "unknown words"]


@pytest.mark.parametrize(("rows", "window"), [(10, 10), (16, 16), (31, 30)])
def test_a_window_is_no_larger_than_the_reference_set(
    packer: Callable[[str], Path], workspace: Path, folder: Path, rows: int, window: int
) -> None:
    packer(WORKS)
    path = add_reference(workspace)
    table = pq.read_table(path)
    write_reference(pa.concat_tables([table, table]).slice(0, rows), path)
    result = run(folder)
    bundle = workspace / result["path"]
    settings = settings_of(bundle)
    assert (settings["window_size"], settings["min_reference_size"]) == (window, window)
    assert read_manifest(bundle).monitoring == MonitoringResult(rows, window)


def test_too_small_a_reference_set_is_refused_before_a_job_is_made(
    packer: Callable[[str], Path], workspace: Path
) -> None:
    packer(WORKS)
    path = add_reference(workspace)
    write_reference(pq.read_table(path).slice(0, 9), path)
    with pytest.raises(FailedPreconditionError, match="9 rows.*--no-monitoring"):
        Exporter(workspace).export(SPEC)
    assert not (workspace / "jobs").exists()
    Exporter(workspace).export(dataclasses.replace(SPEC, monitoring=False))


def test_dashboards_of_two_models_and_datasets_share_a_grafana(
    packer: Callable[[str], Path], workspace: Path, folder: Path
) -> None:
    seen = packer("""
        path = pathlib.Path(request["monitoring"]["grafana_dashboard_path"])
        board = json.loads(path.read_text())
        seen(board={name: board[name] for name in ("title", "uid", "panels")}); pack()
        """)
    add_reference(workspace)
    run(folder)
    board = json.loads((seen / "seen.json").read_text())["board"]
    assert board["uid"] == "ktt-tfidf_hsgd-shop"
    assert board["title"] == "KTT: Tf-idf, one classifier per class, on shop"
    assert board["panels"]


def test_uids_are_short_and_no_two_pairs_have_the_same() -> None:
    pairs = [("a-b", "c"), ("a", "b-c"), ("m" * 63, "d" * 63), ("m" * 63, "d" * 62), ("a", "c")]
    uids = [monitoring._uid(*pair) for pair in pairs]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", uid) for uid in uids)


def renamed(table: pa.Table) -> pa.Table:
    return table.rename_columns([*table.column_names[:-1], "another class"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed, "of other classes.*'another class'"),
        (lambda table: table.drop_columns(["25"]), "it has 30 columns, not 31"),
        (lambda table: table.slice(0, 0), "has 0 rows"),
        (lambda table: table.slice(0, 1), "has 1 row, that of the test split"),
        (
            lambda table: table.slice(0, 9),
            "has 9 rows.*fewer than 10.*--no-monitoring",
        ),
        (None, "cannot be read"),
    ],
)
def test_a_reference_set_of_something_else_is_refused(
    packer: Callable[[str], Path], workspace: Path, folder: Path, change: Any, message: str
) -> None:
    packer(WORKS)
    path = add_reference(workspace)
    if change is None:
        path.write_bytes(path.read_bytes()[:-20])
    else:
        write_reference(change(pq.read_table(path)), path)
    with pytest.raises(FailedPreconditionError, match=f"(?s){message}.*train -r"):
        run(folder)
    assert not list((workspace / "build").glob("*shop"))


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("print(json.dumps({'error': 'no class in it'})); sys.exit(1)", JobFailedError,
         "could not be packed: no class in it"),
        ("print(json.dumps({'error': 'w.npz: No space left on device'})); sys.exit(1)",
         ResourceExhaustedError, "No space left"),
        ("print(json.dumps({'error': 'odd'}))", JobFailedError, "odd"),
        ("pack(); os.kill(os.getpid(), signal.SIGKILL)", JobFailedError,
         "killed by SIGKILL.*memory"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", JobFailedError, "killed by SIGSEGV"),
        ("pack(); sys.exit(3)", JobFailedError, "exit code 3 and did not say why"),
        ("sys.exit(127)", JobFailedError, r"the packer /.* cannot be run here.*python3\.11"),
        ("print('[' * 10_000)", JobFailedError, "made no service"),
    ],
)  # fmt: skip
def test_what_stops_the_packer_is_the_job_s_error_and_the_older_bundle_stays(
    packer: Callable[[str], Path],
    workspace: Path,
    folder: Path,
    code: str,
    kind: type[KttError],
    message: str,
) -> None:
    older = workspace / "build/tfidf_hsgd_shop"
    packer(WORKS)
    run(folder)
    before = (older / "manifest.json").read_bytes()
    packer(code)
    with pytest.raises(kind, match=message):
        run(folder)
    assert (older / "manifest.json").read_bytes() == before
    assert not list(older.parent.glob(".tmp-*"))


def test_what_does_not_answer_as_its_checkpoint_is_not_packed(
    packer: Callable[[str], Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = packer(WORKS)
    kind = get_model("tfidf_hsgd")
    write = kind.export_artifacts

    def tampered(self: Any, target: Path) -> None:
        write(self, target)
        with np.load(target / "weights.npz") as file:
            arrays = {name: file[name] for name in file.files}
        arrays["bias"] = arrays["bias"] + np.linspace(0, 1, len(arrays["bias"]), dtype=np.float32)
        np.savez(target / "weights.npz", **arrays)

    monkeypatch.setattr(kind, "export_artifacts", tampered)
    with pytest.raises(JobFailedError, match="differ from its checkpoint"):
        run(folder)
    assert not (seen / "seen.json").exists()


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        (dataclasses.replace(SPEC, gpu=True), UnsupportedError, "does not compute on a GPU"),
        (
            ExportSpec("shop", "tfidf_hsgd", gpu=True),
            InvalidArgumentError,
            "exports to 'bento' only",
        ),
        (dataclasses.replace(SPEC, quantize="int8"), UnsupportedError, "cannot be quantized"),
        (dataclasses.replace(SPEC, quantize="int8", gpu=True), InvalidArgumentError, "not on CUDA"),
    ],
)
def test_what_makes_no_bundle_is_refused_before_a_job_is_made(
    packer: Callable[[str], Path],
    workspace: Path,
    spec: ExportSpec,
    kind: type[KttError],
    message: str,
) -> None:
    packer(WORKS)
    with pytest.raises(kind, match=message):
        Exporter(workspace).export(spec)
    assert not (workspace / "jobs").exists()


@pytest.mark.parametrize("given", ["/nowhere/packer", "", "folder"])
def test_without_a_packer_no_job_is_made(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    for name in ("KTT_PACKER", "PATH", "PYENV_ROOT", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("KTT_PACKER", str(tmp_path) if given == "folder" else given)
    monkeypatch.setenv("KTT_PYTHON_DOWNLOADS", "never")
    message = "not an executable program" if given else "Python 3.11.*KTT_PACKER"
    with pytest.raises(FailedPreconditionError, match=message):
        Exporter(workspace).export(SPEC)
    assert not (workspace / "jobs").exists()


# A disk that is full after a megabyte, as the system lets a program have it.
FILLS = """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    pack()
    (output / "inference" / "large").write_bytes(bytes(1 << 22))
except OSError as error:
    print(json.dumps({"error": f"large: {error.strerror}"}))
    sys.exit(1)
"""


def test_a_disk_that_is_full_is_told_and_nothing_is_left(
    packer: Callable[[str], Path], workspace: Path
) -> None:
    packer(FILLS)
    with pytest.raises(ResourceExhaustedError, match=r"large: File too large; free some room"):
        Exporter(workspace).export(SPEC)
    assert {path.name for path in (workspace / "build").glob("*")} <= {".lock"}
    assert not list(workspace.glob("jobs/exporter/**/artifacts-*"))


HANGS = """
child = subprocess.Popen(["sleep", "600"])
seen(packer=os.getpid(), child=child.pid)
time.sleep(600)
"""


def processes(seen: Path) -> list[int]:
    """Return the packer and what it has started, once they run."""

    def found() -> list[int]:
        try:
            request = json.loads((seen / "seen.json").read_text())
        except (OSError, ValueError):
            return []
        return [request["packer"], request["child"]]

    return list(wait_for(found))


def is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_cancelled_export_ends_the_packer_and_what_it_started(
    packer: Callable[[str], Path], workspace: Path
) -> None:
    seen = packer(HANGS)
    exporter = Exporter(workspace)
    phases: list[str] = []

    def on_event(event: JobEvent) -> None:
        if event.progress is not None:
            phases.append(event.progress.phase)

    def cancel() -> None:
        processes(seen)
        (job,), _ = exporter.list_jobs(EXPORT)
        exporter.cancel_job(EXPORT, job.id)

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(JobFailedError, match="was cancelled"):
        exporter.export(SPEC, on_event)
    canceller.join()
    wait_for(lambda: all(map(is_gone, processes(seen))), 30)
    assert list(dict.fromkeys(phases)) == ["load", "export", "parity", "pack"]
    assert {path.name for path in (workspace / "build").glob("*")} <= {".lock"}


def test_a_killed_worker_takes_the_packer_along(
    packer: Callable[[str], Path], workspace: Path
) -> None:
    seen = packer(HANGS)
    exporter = Exporter(workspace)

    def kill() -> None:
        packing = processes(seen)[0]
        status = Path(f"/proc/{packing}/stat").read_text().rpartition(")")[2].split()
        os.kill(int(status[1]), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(JobFailedError, match="killed by SIGKILL"):
        exporter.export(SPEC)
    killer.join()
    wait_for(lambda: is_gone(processes(seen)[0]), 30)
    assert not list((workspace / "build").glob("*shop"))


def test_of_two_exports_at_once_one_is_whole(
    packer: Callable[[str], Path], workspace: Path
) -> None:
    packer("pack(); (output / 'mark').write_text(str(os.getpid())); time.sleep(0.5)")
    results: list[Any] = []

    def export() -> None:
        results.append(Exporter(workspace).export(SPEC))

    threads = [threading.Thread(target=export) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert len(results) == 2
    bundle = workspace / "build/tfidf_hsgd_shop"
    manifest = read_manifest(bundle)
    assert manifest in [result.manifest for result in results]
    for file in manifest.files:
        assert hashlib.sha256((bundle / file.path).read_bytes()).hexdigest() == file.sha256


def test_a_bundle_is_downloaded_with_its_folders_and_what_can_be_run(
    packer: Callable[[str], Path], workspace: Path
) -> None:
    packer(WORKS)
    exporter = Exporter(workspace)
    result = exporter.export(SPEC)
    (job,), _ = exporter.list_jobs(EXPORT)
    artifact = exporter.open_artifact(job.id)
    archive = b"".join(artifact.chunks())
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        modes = {member.name: member.mode for member in tar}
    assert len(modes) == len(result.manifest.files) + 1
    runs = [name for name, mode in modes.items() if mode & stat.S_IXUSR]
    assert runs == ["tfidf_hsgd_shop/inference/init.sh"]
