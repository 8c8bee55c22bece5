"""The calls about datasets, as a client of a real server sees them."""

from __future__ import annotations

import shutil
from pathlib import Path

import grpc
import pytest

from ktt.trainer.v1 import datasets_pb2
from trainer.conftest import TrainerProcess, create_dataset, refusal

Code = grpc.StatusCode


@pytest.fixture
def allowed(server: TrainerProcess) -> Path:
    """Return the folder that the server allows."""
    return server.workspace.parent / "allowed"


def names(server: TrainerProcess) -> list[str]:
    """Return the datasets' names, page by page."""
    found, token = [], ""
    while True:
        request = datasets_pb2.ListDatasetsRequest(page_size=1, page_token=token)
        page = server.calls.ListDatasets(request)
        found += [dataset.name for dataset in page.datasets]
        token = page.next_page_token
        if not token:
            return found


def test_a_dataset_comes_from_a_file_of_the_server_and_goes(
    server: TrainerProcess, allowed: Path
) -> None:
    source = str(allowed / "shop.csv")
    last = create_dataset(server, name="fromfile", server_path=source)
    assert last.created.dataset.rows == {"train": 240, "val": 30, "test": 30}
    assert last.created.report.rows_read == 300
    again = refusal(create_dataset, server, name="fromfile", server_path=source)
    assert again == (Code.ALREADY_EXISTS, [])
    create_dataset(server, name="fromfile", server_path=source, replace=True)
    shown = server.calls.GetDataset(datasets_pb2.GetDatasetRequest(name="fromfile")).dataset
    assert shown.leaf_count == 3 and shown.options["sep"] == " > "
    assert names(server) == ["fromfile", "shop"]
    server.calls.DeleteDataset(datasets_pb2.DeleteDatasetRequest(name="fromfile"))
    assert names(server) == ["shop"]
    gone = datasets_pb2.DeleteDatasetRequest(name="fromfile")
    assert refusal(server.calls.DeleteDataset, gone) == (Code.NOT_FOUND, [])
    hostile = datasets_pb2.DeleteDatasetRequest(name="../weights")
    bad = refusal(server.calls.DeleteDataset, hostile)
    assert bad == (Code.INVALID_ARGUMENT, ["name"])


def test_files_elsewhere_on_the_server_are_refused(server: TrainerProcess, allowed: Path) -> None:
    (allowed / "link.csv").unlink(missing_ok=True)
    (allowed / "link.csv").symlink_to(allowed.parent / "shop.csv")
    for path in ("/etc/passwd", f"{allowed}/../shop.csv", f"{allowed}/link.csv", "/nowhere/x.csv"):
        bad = refusal(create_dataset, server, name="x", server_path=path)
        assert bad == (Code.PERMISSION_DENIED, [])
    for path in ("shop.csv", "~/shop.csv", ""):
        bad = refusal(create_dataset, server, name="x", server_path=path)
        assert bad == (Code.INVALID_ARGUMENT, ["server_path"])
    missing = f"{allowed}/missing.csv"
    assert refusal(create_dataset, server, name="x", server_path=missing) == (
        Code.NOT_FOUND,
        [],
    )
    assert names(server) == ["shop"]


def test_imports_that_cannot_be_are_refused_whole(server: TrainerProcess, allowed: Path) -> None:
    (allowed / "bad.csv").write_text("title,category\n,Sport > Shoes\n")
    path = str(allowed / "bad.csv")
    assert refusal(create_dataset, server, name="x", server_path=path) == (
        Code.INVALID_ARGUMENT,
        [],
    )
    good = str(allowed / "shop.csv")
    for name in ("", "../x", "x" * 64, "nul"):
        bad = refusal(create_dataset, server, name=name, server_path=good)
        assert bad == (Code.INVALID_ARGUMENT, ["name"])
    assert refusal(create_dataset, server, name="x") == (
        Code.INVALID_ARGUMENT,
        ["server_path"],
    )
    for options, field in (
        ({"text": "title", "classes": "category", "depth": -3}, "options.depth"),
        ({"text": "title", "level_columns": ["a"], "sep": "/"}, "options.sep"),
        ({"text": "title", "classes": "category", "val_ratio": 7.0}, "options.val_ratio"),
        ({"classes": "category"}, "options.text"),
    ):
        wrong = datasets_pb2.CreateDatasetRequest(
            name="x", server_path=good, options=datasets_pb2.ImportOptions(**options)
        )
        bad = refusal(list, server.calls.CreateDataset(wrong))
        assert bad == (Code.INVALID_ARGUMENT, [field])
    assert names(server) == ["shop"]
    assert [path.name for path in (server.workspace / "datasets").iterdir()] == ["shop"]


def test_clients_are_not_shown_where_the_workspace_is(server: TrainerProcess) -> None:
    damaged = server.workspace / "datasets/damaged"
    damaged.mkdir()
    (damaged / "hierarchy.json").write_text("nonsense")
    try:
        listed = server.calls.ListDatasets(datasets_pb2.ListDatasetsRequest())
        problem = next(dataset.problem for dataset in listed.datasets if dataset.problem)
        messages = [problem]
        for name in ("damaged", "nothing"):
            with pytest.raises(grpc.RpcError) as caught:
                server.calls.GetDataset(datasets_pb2.GetDatasetRequest(name=name))
            messages.append(caught.value.details())
    finally:
        shutil.rmtree(damaged)
    assert problem.startswith("the dataset in datasets/damaged is damaged")
    assert "there is no dataset 'nothing' in the workspace; there are: " in messages[2]
    assert not [message for message in messages if str(server.workspace.parent) in message]
