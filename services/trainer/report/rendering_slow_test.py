"""The page in a browser, if one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from trainer.report import write_report
from trainer.report.rendering_test import ALL, Page


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no browser")
@pytest.mark.parametrize("name", ["hostile names", "a tree"])
def test_a_browser_renders_the_page(name, tmp_path):
    path = tmp_path / "report.html"
    write_report(path, ALL[name]())
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'u'}"]
    done = subprocess.run(
        ["chromium", *options, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert Page(done.stdout).data() == Page(path.read_text(encoding="utf-8")).data()
