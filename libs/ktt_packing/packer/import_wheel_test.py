"""A bundle's own wheel lets BentoML be imported before any code of the bundle is."""

from __future__ import annotations

import base64
import csv
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ktt_packing.packer.import_wheel import write_import_wheel


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    write_import_wheel(tmp_path / "wheels")
    (file,) = (tmp_path / "wheels").iterdir()
    return file


def test_the_lines_pin_the_wheel_by_its_hash_and_the_same_sources_give_the_same(
    wheel: Path, tmp_path: Path
) -> None:
    lines = write_import_wheel(tmp_path / "again" / "wheels")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert f"ktt-bentoml-imports==1.0 \\\n    --hash=sha256:{digest}\n" in lines
    assert "--find-links wheels\n" in lines


def test_its_record_is_true_of_every_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        record = next(name for name in archive.namelist() if name.endswith("/RECORD"))
        rows = list(csv.reader(archive.read(record).decode().splitlines()))
        assert {name for name, *_ in rows} == set(archive.namelist())
        for name, digest, size in rows:
            if name == record:
                continue
            data = archive.read(name)
            found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            assert (digest, int(size)) == (f"sha256={found}", len(data))


@pytest.mark.parametrize("installed", [True, False])
def test_bentoml_is_imported_only_where_it_is_installed(
    wheel: Path, tmp_path: Path, installed: bool
) -> None:
    place = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    # The rest of the path is that of this test, without this package, which does it too.
    path = [entry for entry in sys.path if not Path(entry, "ktt_serving").is_dir()]
    code = (
        f"import sys, site; sys.path[:] = {path!r}\n"
        f"if {installed}: site.addsitedir({str(place)!r})\n"
        "import bentoml; from bentoml.types import HTTPHeaders\n"
        "from bentoml.yatai.proto.repository_pb2 import BentoUri\n"
        "import bentoml.utils.cloudpickle as pickle\n"
        "print(pickle.loads(pickle.dumps(lambda: 7))(), hash(HTTPHeaders()) != 0,"
        " BentoUri(uri='x').SerializeToString())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"BENTOML_HOME": str(tmp_path), "BENTOML_DO_NOT_TRACK": "True"},
    )
    assert (done.returncode == 0) is installed, done.stderr
    if installed:
        assert done.stdout == "7 True b'\\x12\\x01x'\n"
