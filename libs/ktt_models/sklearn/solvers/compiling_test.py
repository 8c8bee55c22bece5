"""Machine code is kept for a kind of processor, wherever the program lies and whatever happens."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ktt_models

_COUNT = """
import sys
sys.path[:0] = sys.argv[1:]
import numpy as np
from ktt_models.sklearn.solvers.compile_notice import on_compiling
from ktt_core.tfidf.rows import CsrRows
from ktt_models.sklearn.solvers.columns import columns_of

told = []
with on_compiling(lambda: told.append("compiled")):
    for _ in range(2):
        starts, indices = np.array([0, 1, 3]), np.array([1, 0, 1], np.int32)
        rows = CsrRows(starts, indices, np.ones(3, np.float32), 2)
        columns = columns_of(rows, np.array([1, 0]))
assert columns.rows[:, 0].tolist() == [0, 0, 1]
print(*told, len(told))
"""


def count(cache: Path | str, *paths: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, *map(str, paths)],
        env={
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XDG_CACHE_HOME": str(cache),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that a first process has filled."""
    cache = tmp_path_factory.mktemp("cache")
    assert count(cache) == "compiled 1"
    return cache


def test_another_place_and_time_of_the_same_program_compiles_nothing(
    filled: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere" / "ktt_models"
    package = Path(ktt_models.__file__).parent
    for part in ("__init__.py", "sklearn"):
        source = package / part
        if source.is_dir():
            shutil.copytree(source, copy / part, copy_function=shutil.copyfile)
        else:
            copy.mkdir(parents=True)
            shutil.copyfile(source, copy / part)
    assert count(filled) == "0"
    assert count(filled, copy.parent) == "0"
    # Another source of any kernel is another program: one lies in the code of others.
    kernels = copy / "sklearn" / "solvers" / "losses.py"
    kernels.write_text(kernels.read_text() + "\n# changed\n")
    assert count(filled, copy.parent) == "compiled 1"


def test_each_kind_of_processor_has_its_own_code(filled: Path) -> None:
    assert count(filled, NUMBA_CPU_NAME="generic") == "compiled 1"
    assert count(filled, NUMBA_CPU_NAME="generic") == "0"
    assert count(filled) == "0"


def test_a_damaged_cache_is_replaced(filled: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(filled, cache)
    for file in cache.rglob("*.nb?"):
        file.write_bytes(b"\x80" + file.read_bytes()[: file.stat().st_size // 2])
    assert count(cache) == "compiled 1"
    for file in cache.rglob("*.nbi"):
        file.unlink()
    assert count(cache) == "compiled 1"
    assert count(cache) == "0"


def test_a_folder_that_others_can_write_to_is_neither_read_nor_written(
    filled: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(filled, cache)
    # One for each program that the tests above were.
    folders = list((cache / "ktt" / "kernels").iterdir())
    for folder in folders:
        folder.chmod(0o777)
    before = {file: file.stat().st_mtime_ns for file in cache.rglob("*.nb?")}
    assert count(cache) == "compiled 1"
    assert count(cache) == "compiled 1"
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.nb?")} == before
    for folder in folders:
        folder.chmod(0o755)
    assert count(cache) == "0"


def test_the_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        assert count(tmp_path) == "compiled 1"
        assert count(tmp_path) == "0"
    finally:
        os.umask(before)


def test_without_a_place_to_keep_it_each_process_compiles(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert count(file) == "compiled 1"
    assert count(file) == "compiled 1"
    assert count("", HOME=str(file)) == "compiled 1"


def test_the_folder_that_numba_is_told_is_used(tmp_path: Path) -> None:
    assert count("/dev/null", NUMBA_CACHE_DIR=str(tmp_path)) == "compiled 1"
    assert count("/dev/null", NUMBA_CACHE_DIR=str(tmp_path)) == "0"
