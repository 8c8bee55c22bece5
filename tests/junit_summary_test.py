"""The line of counts that CI ends with."""

from __future__ import annotations

from pathlib import Path

import pytest

import junit_summary

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" errors="1" failures="1" skipped="1" tests="4">
<testcase classname="a_test" name="test_good"><properties/></testcase>
<testcase classname="a_test" name="test_bad"><failure message="no">...</failure></testcase>
<testcase classname="a_test" name="test_broken"><error message="no">...</error></testcase>
<testcase classname="a_test" name="test_left"><skipped message="no engine"/></testcase>
</testsuite></testsuites>
"""


def summary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["junit_summary.py", str(folder)])
    return junit_summary.main()


def test_it_counts_over_all_reports_and_names_what_did_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in ("test", "slow"):
        (tmp_path / step).mkdir()
        (tmp_path / step / "report.xml").write_text(REPORT)
    assert summary(tmp_path, monkeypatch) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "2 passed, 4 failed, 2 skipped"
    assert lines.count("skipped: a_test.test_left: no engine") == 2
    assert lines.count("failed: a_test.test_broken") == 2


def test_passing_is_success_and_running_nothing_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert summary(tmp_path, monkeypatch) == 1
    (tmp_path / "report.xml").write_text(
        '<testsuite><testcase classname="a" name="b"/></testsuite>'
    )
    assert summary(tmp_path, monkeypatch) == 0
    assert capsys.readouterr().out.splitlines() == [
        "0 passed, 0 failed, 0 skipped",
        "1 passed, 0 failed, 0 skipped",
    ]
