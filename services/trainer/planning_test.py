"""A request becomes runs only if every one of them can start."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import (
    DataError,
    InvalidArgumentError,
    InvalidConfigError,
    NotFoundError,
)
from ktt_core.registry import get_config_class, list_models
from ktt_core.workspace import Workspace
from trainer import Trainer, TrainRequest
from trainer.planning import PlannedRun, check_all

BOTH = ("tfidf_lsgd", "tfidf_hsgd")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace with the datasets "a" and "b"."""
    folder = tmp_path_factory.mktemp("planning")
    labels = [["top", "xy"[row % 2]] for row in range(20)]
    pq.write_table(
        pa.table({"text": [f"row {row}" for row in range(20)], "l": labels}), folder / "s.parquet"
    )
    trainer = Trainer(folder / "workspace")
    for name in ("a", "b"):
        trainer.import_dataset(folder / "s.parquet", name, ImportOptions(text="text", classes="l"))
    return trainer.workspace


def plan(workspace: Workspace, request: TrainRequest) -> list[PlannedRun]:
    """Return the runs of a request to this installation."""
    specs = request.expand(
        lambda: [entry.id for entry in list_models()],
        lambda model: get_config_class(model).model_fields,
    )
    return check_all(workspace, specs)[0]


def test_every_model_runs_on_every_dataset_once(workspace: Workspace) -> None:
    runs = plan(workspace, TrainRequest(("a", "b", "a"), (*BOTH, BOTH[0])))
    assert [(planned.spec.dataset, planned.spec.model) for planned in runs] == [
        ("a", "tfidf_lsgd"),
        ("a", "tfidf_hsgd"),
        ("b", "tfidf_lsgd"),
        ("b", "tfidf_hsgd"),
    ]


def test_overrides_win_over_the_file_and_the_file_over_defaults(workspace: Workspace) -> None:
    request = TrainRequest(
        ("a",),
        BOTH,
        overrides={"seed": 3},
        hyperparameters={"tfidf_hsgd": {"seed": 1, "min_df": 2}, "tfidf_lsgd": {"min_df": 4}},
        epochs=9,
    )
    flat, hierarchical = (planned.config for planned in plan(workspace, request))
    assert [getattr(flat, key) for key in ("seed", "min_df", "epochs")] == [3, 4, 9]
    assert [getattr(hierarchical, key) for key in ("seed", "min_df", "epochs")] == [3, 2, 9]


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (TrainRequest((), BOTH), InvalidArgumentError, "at least one dataset"),
        (TrainRequest(("a",), ()), InvalidArgumentError, "at least one model"),
        (TrainRequest(("a",), ("x",)), NotFoundError, "no model 'x'; there are: .*tfidf_hsgd"),
        (TrainRequest(("a",), ("a/b",)), InvalidArgumentError, "not a valid model name"),
        (TrainRequest(("CON",), BOTH), InvalidArgumentError, "reserve it for a device"),
        (TrainRequest(("nope",), BOTH), NotFoundError, "no dataset 'nope'.*there are: a, b"),
        (TrainRequest(("a",), BOTH, {"seeed": 1}), InvalidConfigError, "lsgd has no .*'seeed'"),
        (TrainRequest(("a",), BOTH, {"seed": -1}), InvalidConfigError, "seed = '?-1"),
        (TrainRequest(("a",), BOTH, {}, {"x": {}}), NotFoundError, "file names 'x'"),
        (TrainRequest(("a",), BOTH, {}, {}, 0), InvalidConfigError, "epochs"),
        (TrainRequest(("a",), BOTH, {"epochs": 2}, {}, 3), InvalidArgumentError, "given twice"),
    ],
)
def test_a_request_with_a_mistake_has_no_runs(
    workspace: Workspace, request_: TrainRequest, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        plan(workspace, request_)


def test_the_mistakes_of_all_models_are_told_at_once(workspace: Workspace) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        plan(workspace, TrainRequest(("a",), BOTH, {"seeed": 1}))
    assert "tfidf_lsgd has no" in str(caught.value)
    assert "tfidf_hsgd has no" in str(caught.value)
    assert [field for field, _ in caught.value.violations] == ["hyperparameters.seeed"] * 2
    with pytest.raises(InvalidConfigError) as twice:
        plan(workspace, TrainRequest(("a", "b"), BOTH, {"seeed": 1}))
    assert str(twice.value) == str(caught.value)


def test_a_damaged_dataset_is_seen_before_any_run(workspace: Workspace, tmp_path: Path) -> None:
    copy = Workspace(tmp_path)
    copy.dataset_folder("a").mkdir(parents=True)
    for file in workspace.dataset_folder("a").iterdir():
        (copy.dataset_folder("a") / file.name).write_bytes(file.read_bytes())
    train = copy.dataset_folder("a") / "train.parquet"
    train.write_bytes(train.read_bytes()[:-40])
    with pytest.raises(DataError, match="damaged"):
        plan(copy, TrainRequest(("a",), BOTH))
