"""What earlier programs have written is read by this one, with the same answers."""

from __future__ import annotations

import json
import math
import tarfile
from pathlib import Path
from typing import Any

import pytest

from compatibility.answers import ask

HERE = Path(__file__).parent
WRITTEN = sorted(HERE.glob("*.tar.xz"))
# Jobs that went on after a kill train anew: on another processor to other figures.
RESUMED = {"metrics", "run_time", "checkpoint_path", "reference_path", "report_path", "warnings"}
TIMES = {"start_time", "end_time", "progress"}


def missing(recorded: Any, answered: Any, at: str = "") -> list[str]:
    """Return where an answer lacks what was recorded; what is new in it is no difference.

    Numbers are compared to four digits: other versions of libraries add in another order.
    """
    if isinstance(recorded, dict) and isinstance(answered, dict):
        return [
            line
            for name, value in recorded.items()
            for line in missing(value, answered.get(name), f"{at}.{name}")
        ]
    if isinstance(recorded, list) and isinstance(answered, list):
        if len(recorded) != len(answered):
            return [f"{at}: {len(recorded)} became {len(answered)}"]
        return [
            line
            for number, (one, other) in enumerate(zip(recorded, answered, strict=True))
            for line in missing(one, other, f"{at}[{number}]")
        ]
    if isinstance(recorded, float) and isinstance(answered, int | float):
        same = math.isclose(recorded, answered, rel_tol=1e-4, abs_tol=1e-4)
    else:
        same = recorded == answered
    return [] if same else [f"{at}: {recorded!r} became {answered!r}"]


def unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / "workspace"


def settle(answers: dict[str, Any], going_on: set[str]) -> dict[str, Any]:
    """Leave what is to be the same.

    Of jobs that went on that is what does not depend on the clock and the processor; of texts those
    that are classified today: an empty one was, once.
    """
    for question in answers:
        if question.startswith("predict "):
            answers[question] = [one for one in answers[question] if one["text"]]
    for job in answers["jobs"]:
        if job["id"] in going_on:
            job["result"] = {name: None for name in (job["result"] or {}) if name in RESUMED}
            for name in TIMES:
                job.pop(name)
    return answers


def test_there_is_something_to_read() -> None:
    assert WRITTEN


@pytest.mark.parametrize("archive", WRITTEN, ids=lambda path: path.name)
def test_a_workspace_of_an_earlier_program_gives_the_same_answers(
    archive: Path, tmp_path: Path
) -> None:
    recorded = json.loads((HERE / archive.name.replace(".tar.xz", ".json")).read_text())
    going_on = {
        job["id"] for job in recorded["jobs"] if job["dataset"] == "spare" and job["attempt"]
    }
    assert len(going_on) == 2
    answered = ask(unpack(archive, tmp_path), Path("examples/onnx_predict.py"))
    assert missing(settle(recorded, going_on), settle(answered, going_on)) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"a": [1.0, "x"]}, []),
        ({"a": [1.00005, "x"], "new": 1}, []),
        ({"a": [1.01, "x"]}, [".a[0]: 1.0 became 1.01"]),
        ({"a": [1.0, "y"]}, [".a[1]: 'x' became 'y'"]),
        ({"a": [1.0]}, [".a: 2 became 1"]),
        ({}, [".a: [1.0, 'x'] became None"]),
    ],
)
def test_a_comparison_sees_what_is_missing_or_other(
    change: dict[str, Any], found: list[str]
) -> None:
    assert missing({"a": [1.0, "x"]}, change) == found
