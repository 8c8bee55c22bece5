"""A result is promised before files are moved, and the files tell whether it was kept."""

from __future__ import annotations

import io
import itertools
import json
from typing import Any

import numpy as np
import pytest

from ktt_core.errors import ConflictError
from ktt_core.progress import Progress
from ktt_jobs.context import EventWriter, TaskContext
from ktt_jobs.publishing import prepare, resolve


@pytest.fixture
def context(tmp_path):
    (tmp_path / "job").mkdir()
    return TaskContext("id", 1, tmp_path / "job", EventWriter(io.StringIO()))


@pytest.mark.parametrize("moved", list(itertools.product([False, True], repeat=3)))
def test_all_proofs_there_is_done_and_fewer_are_removed(tmp_path, moved):
    proofs = [tmp_path / name for name in "abc"]
    prepare(tmp_path / "job", {"f1": 0.5}, proofs)
    for proof, is_moved in zip(proofs, moved, strict=True):
        if is_moved:
            proof.touch()
    for _ in range(2):  # it is the same how often it is asked
        assert resolve(tmp_path / "job") == ({"f1": 0.5} if all(moved) else None)
    assert [proof.exists() for proof in proofs] == [all(moved)] * 3


def test_a_result_without_proofs_is_done(tmp_path):
    assert resolve(tmp_path) is None
    prepare(tmp_path, {"x": None}, [])
    assert resolve(tmp_path) == {"x": None}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"result": 1, "proofs": []}', '{"result": {}, "proofs": [1]}', "\x00"],
)
def test_a_damaged_promise_is_none(tmp_path, text):
    (tmp_path / "result.json").write_text(text)
    assert resolve(tmp_path) is None


def test_a_folder_can_be_proof(tmp_path):
    folder = tmp_path / "out"
    prepare(tmp_path / "job", {}, [folder, tmp_path / "other"])
    folder.mkdir()
    (folder / "file").touch()
    assert resolve(tmp_path / "job") is None
    assert not folder.exists()


def test_publishing_promises_first(context, tmp_path):
    target = tmp_path / "target"
    assert context.stoppable
    with context.publishing({"x": 1}, outputs=target):
        written = json.loads((tmp_path / "job" / "result.json").read_text())
        assert written == {"result": {"x": 1}, "proofs": [str(target)], "sign": None}
        assert not context.stoppable
        target.touch()
    assert context.published == {"x": 1}
    assert resolve(tmp_path / "job") == {"x": 1}
    with pytest.raises(ConflictError), context.publishing({}):
        raise AssertionError("it must not come here")


def test_a_body_that_raises_publishes_nothing(context, tmp_path):
    proofs = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(OSError), context.publishing({}, outputs=proofs):
        proofs[0].touch()
        raise OSError(28, "No space left on device")
    assert not proofs[0].exists()
    assert resolve(tmp_path / "job") is None
    assert context.stoppable and context.published is None


def test_what_exists_already_proves_nothing(context, tmp_path):
    (tmp_path / "target").touch()
    with pytest.raises(ConflictError, match="exists already"):
        with context.publishing({}, outputs=tmp_path / "target"):
            raise AssertionError("it must not come here")
    assert (tmp_path / "target").exists()


def test_what_bears_the_sign_is_published_though_the_proof_is_not_there(context, tmp_path):
    proof, sign = tmp_path / "proof", tmp_path / "folder" / "sign"
    with pytest.raises(OSError), context.publishing({"x": 1}, proof, commit_marker=sign):
        sign.parent.mkdir()
        sign.touch()
        raise OSError("the disk is gone")
    assert resolve(tmp_path / "job") == {"x": 1}
    assert sign.exists() and not proof.exists()
    # It need not stay once the proof is there.
    proof.touch()
    sign.unlink()
    assert resolve(tmp_path / "job") == {"x": 1}


def test_without_the_sign_nothing_is_published(context, tmp_path):
    proof, sign = tmp_path / "proof", tmp_path / "sign"
    with pytest.raises(OSError), context.publishing({"x": 1}, proof, commit_marker=sign):
        raise OSError("the disk is full")
    assert resolve(tmp_path / "job") is None
    sign.touch()
    with pytest.raises(ConflictError), context.publishing({"x": 1}, proof, commit_marker=sign):
        raise AssertionError
    # Written before there were signs.
    (tmp_path / "job" / "result.json").write_text('{"result": {"y": 2}, "proofs": []}')
    assert resolve(tmp_path / "job") == {"y": 2}


def test_a_result_that_is_no_json_is_no_result(context, tmp_path):
    with pytest.raises(TypeError), context.publishing({"x": object()}):
        raise AssertionError("it must not come here")
    assert resolve(tmp_path / "job") is None


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_phase_shows_its_first_and_last_step_and_few_between():
    stream = io.StringIO()
    writer = EventWriter(stream)
    for step in range(1, 2001):
        writer.progress(Progress("test", step, 2000, "rows"))
    steps = [event["step"] for event in lines(stream)]
    assert steps[0] == 1 and steps[-1] == 2000
    assert len(steps) < 200


def test_how_far_a_phase_was_when_another_came_between_is_told():
    stream = io.StringIO()
    writer = EventWriter(stream)
    for step in (1, 2, 3):
        writer.progress(Progress("fit", step, 9))
    writer.progress(Progress("validate", 0, 5))
    assert [(event["phase"], event["step"]) for event in lines(stream)] == [
        ("fit", 1),
        ("fit", 3),
        ("validate", 0),
    ]


def test_numbers_of_numpy_become_json():
    stream = io.StringIO()
    step: Any = np.int64(1)
    loss: Any = np.float32(0.5)
    EventWriter(stream).progress(Progress("fit", step, step + 1, "epochs", {"train_loss": loss}))
    assert lines(stream) == [
        {
            "event": "progress",
            "phase": "fit",
            "step": 1,
            "total": 2,
            "unit": "epochs",
            "metrics": {"train_loss": 0.5},
        }
    ]
