"""On a machine without Python 3.11 a bundle is packed by one that uv fetches, from a mirror."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conftest import Ktt
from ktt_core.interpreters.provision import provide_interpreters
from python_mirror import write_mirror


def test_a_bundle_is_packed_with_a_python_that_was_fetched(
    ktt: Ktt, shop: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = provide_interpreters(["3.11"])["3.11"]
    for name, value in write_mirror(tmp_path / "a mirror", [python]).items():
        monkeypatch.setenv(name, value)
    # Pants keeps pip's configuration from what it runs; here it says where packages are.
    monkeypatch.delenv("PIP_CONFIG_FILE", raising=False)
    cache = tmp_path / "a cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    places = os.environ["PATH"].split(os.pathsep)
    without = [place for place in places if not Path(place, "python3.11").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(without))

    assert ktt("train", shop, "-m", "tfidf_hsgd", "-e", "1").code == 0
    monkeypatch.setenv("KTT_PYTHON_DOWNLOADS", "never")
    refused = ktt("export", shop, "-m", "tfidf_hsgd", "--bento")
    assert refused.code != 0
    assert "KTT_PYTHON_DOWNLOADS" in refused.err and "KTT_PACKER" in refused.err
    monkeypatch.delenv("KTT_PYTHON_DOWNLOADS")

    exported = ktt("export", shop, "-m", "tfidf_hsgd", "--bento")
    assert exported.code == 0, exported.err
    assert (workspace / "build" / f"tfidf_hsgd_{shop}" / "inference").is_dir()
    (fetched,) = (cache / "ktt" / "pythons").glob("cpython-3.11.*/bin/python3.11")
    (environment,) = (cache / "ktt").glob("packer-*/pyvenv.cfg")
    assert str(fetched.parent) in environment.read_text()
