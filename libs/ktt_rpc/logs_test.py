import io
import json
import logging
import sys
import threading
import warnings

import pytest

from ktt_rpc import call_state
from ktt_rpc.logs import configure_logging
from ktt_rpc.shutdown import ShutdownFlag


@pytest.fixture
def written():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    stream = io.StringIO()
    configure_logging("info", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.captureWarnings(False)
    root.handlers[:], level = before
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks


def test_a_line_is_one_object_with_time_level_and_message(written):
    logging.getLogger("a.b").warning("two\nlines, %s", "ünï", extra={"job_id": "j1", "ms": 1.5})
    logging.getLogger("a.b").debug("not this")
    (line,) = written()
    assert line["time"].endswith("+00:00")
    del line["time"]
    assert line == {
        "level": "warning",
        "logger": "a.b",
        "message": "two\nlines, ünï",
        "job_id": "j1",
        "ms": 1.5,
    }


def test_warnings_of_python_are_lines_too(written):
    warnings.warn("mind this", UserWarning, stacklevel=1)
    assert "mind this" in written()[0]["message"]


def test_a_traceback_is_in_its_line(written):
    try:
        raise KeyError("what")
    except KeyError:
        logging.getLogger("a").exception("it failed")
    (line,) = written()
    assert "KeyError: 'what'" in line["traceback"]


def test_within_a_call_a_traceback_is_without_the_exception_s_words(written):
    state = call_state.CallState("/a/B", "r1", "peer", None, ShutdownFlag())
    text = "what somebody wrote"
    token = call_state.enter(state)
    try:
        try:
            raise KeyError(text)
        except KeyError as error:
            raise ValueError(text) from error
    except ValueError:
        logging.getLogger("a").exception("it failed")
    finally:
        call_state.leave(token)
    (line,) = written()
    assert (line["request_id"], line["method"]) == ("r1", "/a/B")
    assert text not in json.dumps(line)
    assert "KeyError" in line["traceback"]
    assert "logs_test.py" in line["traceback"]


def test_a_thread_that_dies_is_a_line_too(written):
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    (line,) = written()
    assert line["level"] == "critical"
    assert "ZeroDivisionError" in line["traceback"]


def test_a_very_long_message_is_cut(written):
    logging.getLogger("a").info("x" * 100_000)
    assert len(written()[0]["message"]) < 10_000


def test_a_caller_that_goes_while_its_answer_is_on_the_way_is_no_error(written):
    logger = logging.getLogger("grpc._cython.cygrpc")
    logger.error("ExecuteBatchError raised in core by servicer method [%s]", "/a/B")
    logger.error("something else")
    assert [line["message"] for line in written()] == ["something else"]
