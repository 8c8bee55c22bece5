"""Logs keep their beginning and their end, and a full disk stops neither job nor tail."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from ktt_jobs import logs
from ktt_jobs.logs import BoundedLog, read_tail


def test_a_short_log_is_whole_and_the_next_attempt_goes_on(tmp_path):
    path = tmp_path / "log.txt"
    for attempt in (b"first\n", b"second\n"):
        log = BoundedLog(path)
        log.write(attempt)
        assert log.tail() == (attempt.decode().strip(),)
        log.close()
    assert path.read_text() == "first\nsecond\n"
    assert read_tail(path) == ("first", "second")
    assert read_tail(tmp_path / "none") == ()


@given(st.lists(st.binary(max_size=60), max_size=30))
def test_nothing_is_lost_silently(tmp_path_factory, chunks):
    path = tmp_path_factory.mktemp("log") / "log.txt"
    head, tail = logs._HEAD, logs._TAIL
    logs._HEAD, logs._TAIL = 100, 50
    try:
        log = BoundedLog(path)
        for chunk in chunks:
            log.write(chunk)
        log.close()
    finally:
        logs._HEAD, logs._TAIL = head, tail
    whole, kept = b"".join(chunks), path.read_bytes()
    if len(whole) <= 150:
        assert kept == whole
    else:
        omitted = len(whole) - 150
        mark = f"\n... {omitted} bytes left out ...\n".encode()
        assert kept == whole[:100] + mark + whole[-50:]


def test_bytes_that_are_no_text_and_long_lines_are_shown_shortened(tmp_path):
    log = BoundedLog(tmp_path / "log.txt")
    log.write(b"\xff\xfe" + b"x" * 10_000 + b"\nend")
    assert log.tail()[-1] == "end"
    assert len(log.tail()[0]) == 500
    log.close()


def test_a_full_disk_stops_only_the_file(tmp_path):
    path = tmp_path / "log.txt"
    os.symlink("/dev/full", path)
    log = BoundedLog(path)
    log.write(b"before the end\n")
    assert log.tail() == ("before the end",)
    log.close()
    nowhere = BoundedLog(tmp_path / "none" / "log.txt")
    nowhere.write(b"x")
    assert nowhere.tail() == ("x",)
    nowhere.close()
