"""A run's files appear together when it has ended well, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ktt_core.atomic import TEMPORARY_PREFIX, sweep_leftovers
from ktt_core.checkpoints.paths import list_checkpoint_files
from ktt_core.checkpoints.run_ids import reserve_run_time
from ktt_core.checkpoints.staging import StagedRun, stage_run
from ktt_core.errors import ConflictError


def write(run: StagedRun) -> list[str]:
    names = [f"best_{run.time}.json", f"last_{run.time}_reference.parquet"]
    for name in names:
        (run.staging / name).write_text("whole")
    return names


def test_published_files_appear_and_nothing_else_stays(tmp_path: Path) -> None:
    folder = tmp_path / "weights/model/shop"
    with stage_run(folder) as run:
        names = write(run)
        (run.staging / f"{TEMPORARY_PREFIX}1-x.json").write_text("begun")
        assert list_checkpoint_files(folder) == []
        run.publish()
    assert sorted(path.name for path in folder.iterdir()) == names


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_what_is_not_published_is_gone_with_the_folders_made(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), stage_run(tmp_path / "weights/model/shop") as run:
        write(run)
        raise error
    assert list(tmp_path.iterdir()) == []


def test_folders_that_were_there_stay(tmp_path: Path) -> None:
    folder = tmp_path / "weights/model"
    folder.mkdir(parents=True)
    with stage_run(folder / "shop"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["weights", "model"]


def test_a_publishing_that_fails_halfway_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def refuse_best(path: Path, target: Path) -> Path:
        if path.name.startswith("best"):
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse_best)
    with pytest.raises(OSError, match="No space"), stage_run(tmp_path / "shop") as run:
        write(run)
        run.publish()
    assert list(tmp_path.iterdir()) == []


def test_a_living_run_is_not_swept_and_a_dead_one_is(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    with stage_run(folder) as run:
        write(run)
        assert sweep_leftovers(folder) == []
        assert run.staging.is_dir()
        shutil.copytree(run.staging, folder / f"{TEMPORARY_PREFIX}1-dead")
        assert [path.name for path in sweep_leftovers(folder)] == [f"{TEMPORARY_PREFIX}1-dead"]


def test_a_folder_removed_under_a_reservation_is_made_again(tmp_path: Path) -> None:
    folder, waits = tmp_path / "shop", 0

    def sleep(seconds: float) -> None:
        nonlocal waits
        waits += 1
        shutil.rmtree(folder)

    # The second is taken: while the run waits for the next one, another run cleans up.
    with reserve_run_time(folder, lambda: 0.0), reserve_run_time(folder, lambda: waits, sleep):
        assert folder.is_dir() and waits == 1


def test_a_run_that_is_continued_keeps_its_time_and_is_one_processs_alone(tmp_path: Path) -> None:
    folder, time = tmp_path / "shop", "2026-01-31T12:34:56"
    folder.mkdir()
    (folder / f"last_{time}.json").write_text("half")
    with stage_run(folder, time) as run:
        assert run.time == time
        with pytest.raises(ConflictError, match=f"run of {time}.*goes on in another process"):
            with stage_run(folder, time):
                raise AssertionError("both have it")
        (run.staging / f"best_{time}.json").write_text("whole")
        run.publish()
    assert sorted(path.name for path in folder.iterdir()) == [
        f"best_{time}.json",
        f"last_{time}.json",
    ]
