"""Events reach the parent as JSON lines, and no oftener than a person can see."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from ktt_core.errors import DataError
from ktt_core.progress import Progress
from trainer import child
from trainer.child import EventWriter


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_phase_shows_its_first_and_last_step_and_few_between() -> None:
    stream = io.StringIO()
    writer = EventWriter(stream)
    for step in range(1, 2001):
        writer.progress(Progress("test", step, 2000, "rows"))
    steps = [event["step"] for event in events(stream)]
    assert steps[0] == 1 and steps[-1] == 2000
    assert len(steps) < 200


def test_every_phase_is_shown() -> None:
    stream = io.StringIO()
    writer = EventWriter(stream)
    for phase in ("features", "fit", "save"):
        writer.progress(Progress(phase))
    assert [event["phase"] for event in events(stream)] == ["features", "fit", "save"]


def test_numbers_of_numpy_become_json() -> None:
    stream = io.StringIO()
    step: Any = np.int64(1)
    loss: Any = np.float32(0.5)
    EventWriter(stream).progress(Progress("fit", step, step + 1, "epochs", {"train_loss": loss}))
    assert events(stream)[0] == {
        "event": "progress",
        "phase": "fit",
        "step": 1,
        "total": 2,
        "unit": "epochs",
        "metrics": {"train_loss": 0.5},
    }


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (DataError("bad rows"), "DataError", "bad rows"),
        (MemoryError(), "TrainingError", "out of memory"),
        (OSError(28, "No space left", "f"), "TrainingError", r"No space left \(f\)"),
        (OSError("strange"), "TrainingError", r"strange \(no file\)"),
        (KeyError("x"), "TrainingError", "a bug: KeyError: 'x'"),
    ],
)
def test_errors_are_told_in_a_sentence(error: Exception, kind: str, message: str) -> None:
    described = child._describe(error)
    assert described["type"] == kind
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(described["message"])
