"""Who has interrupted a training is told how it is continued, and what was not begun."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.listing import checkpoints_command
from cli.resume_hints import resume_hints
from ktt_core.errors import KttError, UnavailableError
from trainer import CheckpointInfo, TrainRequest


def checkpoint(model: str, dataset: str, **more: Any) -> CheckpointInfo:
    values = {"label": "last", "time": "2026-01-31T12:34:56", "path": Path("x"), "bytes": 1}
    return CheckpointInfo(model, dataset, **{**values, "run_state": "unfinished", **more})


class Workspace:
    """Lists checkpoints, or fails to."""

    def __init__(self, *found: CheckpointInfo, error: KttError | None = None) -> None:
        self.found, self.error = found, error

    def list_checkpoints(self, *names: str | None) -> list[CheckpointInfo]:
        if self.error is not None:
            raise self.error
        return list(self.found)


def ways(workspace: Workspace, *begun: tuple[str, str], **request: Any) -> list[str]:
    backend: Any = SimpleNamespace(catalogue=workspace)
    wanted = TrainRequest(("shop", "mail"), ("one", "two"), **request)
    return resume_hints(backend, wanted, begun)


def test_unfinished_runs_are_continued_and_the_rest_is_named() -> None:
    workspace = Workspace(
        checkpoint("one", "shop", run_state="finished"),
        checkpoint("two", "shop"),
        checkpoint("one", "other"),
        checkpoint("one", "mail", run_state="running"),
    )
    assert ways(workspace, ("one", "shop"), ("two", "shop")) == [
        "continue with: ktt train shop -m two --resume",
        "not begun yet: one on mail, two on mail",
    ]
    assert ways(workspace, ("two", "shop"), resume=True) == [
        "continue with: ktt train shop -m two --resume"
    ]


def test_without_anything_unfinished_there_is_nothing_to_say() -> None:
    every = [(model, dataset) for model in ("one", "two") for dataset in ("shop", "mail")]
    assert ways(Workspace(), *every) == []
    assert ways(Workspace()) == []
    assert ways(Workspace(checkpoint("one", "shop")), ("one", "shop"), dry_run=True) == []


def test_a_server_that_is_gone_is_no_second_error() -> None:
    assert ways(Workspace(error=UnavailableError("gone")), ("one", "shop")) == []


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ({"run_state": "finished"}, "finished"),
        ({"epochs_done": 2.4, "epochs": 5.0}, "unfinished, 2.4 of 5 epochs"),
        ({"run_state": "running", "epochs_done": 0.0, "epochs": 3.0}, "running, 0 of 3 epochs"),
        ({"run_state": ""}, "-"),
    ],
)
def test_checkpoints_tell_how_far_their_run_is(state: dict[str, Any], shown: str) -> None:
    from click.testing import CliRunner

    workspace = Workspace(checkpoint("one", "shop", **state))
    session = SimpleNamespace(backend=SimpleNamespace(catalogue=workspace))

    done = CliRunner().invoke(checkpoints_command, [], obj=session)
    assert done.exit_code == 0
    assert done.output.splitlines()[1].endswith(shown)
