"""`ktt export --bento`, here and at a server, with the packer that packs for real."""

from __future__ import annotations

import hashlib
import json
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from conftest import Ktt, Services
from ktt_core.interpreters.provision import provide_interpreters

# As `./pants package` makes it. Without Pants, what the export makes itself is used.
PACKAGED = Path("libs.ktt_packing/packer.pex/__main__.py")
ALONE = {"README.md", "inference", "manifest.json"}
WATCHED = ALONE | {
    "docker-compose.gpu.yaml", "docker-compose.yaml", "grafana", "monitoring", "prometheus",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def packer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KTT_PACKER", raising=False)
        if PACKAGED.exists():
            program = tmp_path_factory.mktemp("packer") / "packer"
            python = provide_interpreters(["3.11"])["3.11"]
            command = shlex.join([str(python), str(PACKAGED.absolute())])
            program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            program.chmod(0o755)
            patch.setenv("KTT_PACKER", str(program))
        yield


def contents(folder: Path) -> dict[str, tuple[str, bool]]:
    """Return each file's digest, and whether it can be run."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            bool(path.stat().st_mode & stat.S_IXUSR),
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def manifest_of(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return value


def test_a_bundle_is_watched_if_its_run_left_what_to_compare_with(
    ktt: Ktt, shop: str, workspace: Path
) -> None:
    assert ktt("train", shop, "-m", "tfidf_hsgd", "-e", "2").code == 0
    alone = ktt("export", shop, "-m", "tfidf_hsgd", "--bento")
    assert alone.code == 0, alone.err
    assert "without monitoring" in alone.out
    assert "ktt train shop -m tfidf_hsgd -r" in alone.out
    folder = workspace / "build/tfidf_hsgd_shop"
    assert f"wrote {folder}" in alone.out
    assert {path.name for path in folder.iterdir()} == ALONE
    first = contents(folder / "inference")

    assert ktt("train", shop, "-m", "tfidf_hsgd", "-e", "2", "-r").code == 0
    watched = ktt("export", shop, "-m", "tfidf_hsgd", "--bento")
    assert watched.code == 0, watched.err
    assert "without monitoring" not in watched.out
    assert {path.name for path in folder.iterdir()} == WATCHED
    manifest = manifest_of(folder)
    assert (manifest["format"], manifest["model"]) == ("bento", "tfidf_hsgd")
    assert float(manifest["parity"]["topPathAgreement"]) == 1.0
    there = contents(folder)
    assert {file["path"]: file["sha256"] for file in manifest["files"]} == {
        name: digest for name, (digest, _) in there.items() if name != "manifest.json"
    }
    runs = {name for name, (_, runs) in there.items() if runs}
    assert {"inference/docker-entrypoint.sh", "inference/start"} <= runs
    settings = (folder / "monitoring/evidently.yaml").read_text().splitlines()
    columns = pq.read_schema(folder / "monitoring/references.parquet").names
    prediction = json.loads(settings[-1].removeprefix("prediction: "))
    assert prediction == columns[-4:]
    dashboard = folder / "grafana/provisioning/dashboards/dashboard.json"
    assert json.loads(dashboard.read_text())["panels"]
    assert not [name for name in there if name.endswith((".pkl", ".pickle", ".pyc"))]

    time = manifest["checkpoint"]["runTime"]
    left_out = ktt("export", shop, "-m", "tfidf_hsgd", "--bento", "--no-monitoring", "-t", time)
    assert left_out.code == 0, left_out.err
    assert "without monitoring" not in left_out.out
    assert {path.name for path in folder.iterdir()} == ALONE
    assert contents(folder / "inference").keys() == first.keys()


def test_a_bundle_of_a_server_arrives_as_it_is_there(
    remote: Ktt, remote_shop: str, services: Services, tmp_path: Path
) -> None:
    assert remote("train", remote_shop, "-m", "tfidf_lsgd", "-e", "2", "-r").code == 0
    done = remote("export", remote_shop, "-m", "tfidf_lsgd", "--bento")
    assert done.code == 0, done.err
    arrived, there = (
        tmp_path / "build/tfidf_lsgd_shop",
        services.workspace / "build/tfidf_lsgd_shop",
    )
    assert {path.name for path in arrived.iterdir()} == WATCHED
    assert contents(arrived) == contents(there)
    folders = {path.relative_to(there) for path in there.rglob("*") if path.is_dir()}
    assert folders == {path.relative_to(arrived) for path in arrived.rglob("*") if path.is_dir()}

    other = remote("export", remote_shop, "-m", "tfidf_lsgd", "--output", tmp_path / "build")
    assert other.code != 0
    assert "it is an export to 'bento', not to 'onnx'" in other.err
    named = remote(
        "export", remote_shop, "-m", "tfidf_lsgd", "--bento", "--packer", tmp_path / "evil"
    )
    assert named.code == 2
    assert "a server has its own packer" in named.err


def test_what_cannot_be_served_says_why(ktt: Ktt, shop: str, tmp_path: Path) -> None:
    assert ktt("train", shop, "-m", "tfidf_hsgd", "-e", "1").code == 0
    gpu = ktt("export", shop, "-m", "tfidf_hsgd", "--bento", "--gpu")
    assert gpu.code != 0 and "does not compute on a GPU" in gpu.err
    absent = ktt("export", shop, "-m", "tfidf_hsgd", "--bento", "--packer", tmp_path / "absent")
    assert absent.code != 0 and "not an executable program" in absent.err


def test_the_help_teaches_what_a_bundle_is(ktt: Ktt) -> None:
    told = ktt("export", "--help").out
    for words in ("--bento", "--no-monitoring", "--gpu", "--packer", "KTT_PACKER", "ktt train -r"):
        assert words in told
