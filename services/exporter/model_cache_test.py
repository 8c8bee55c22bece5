"""Few models are kept, each is loaded once, and one that was replaced is loaded anew."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from exporter.model_cache import CachedModel, ModelCache


class Loads:
    """Counts what it loads: a "model" is the file's content."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.paths: list[Path] = []
        self._seconds = seconds

    def __call__(self, path: Path) -> Any:
        self.paths.append(path)
        time.sleep(self._seconds)
        return path.read_text()


def content(cached: CachedModel) -> Any:
    with cached.use() as model:
        return model


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / name for name in "abc"]
    for path in found:
        path.write_text(path.name)
    return found


def test_the_models_used_last_are_kept(paths: list[Path]) -> None:
    cache, load = ModelCache(2), Loads()
    a, b, c = paths
    for path in (a, b, a, c, a, b):
        assert content(cache.get(path, load)) == path.name
    assert load.paths == [a, b, c, b]


def test_threads_that_want_one_model_load_it_once(paths: list[Path]) -> None:
    cache, load = ModelCache(2), Loads(0.1)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: cache.get(paths[n % 2], load), range(16)))
    assert sorted(load.paths) == paths[:2]
    assert len({id(entry) for entry in found}) == 2


def test_loading_one_does_not_hold_up_another(paths: list[Path]) -> None:
    cache, begun, release = ModelCache(2), threading.Event(), threading.Event()

    def slow(path: Path) -> Any:
        begun.set()
        assert release.wait(10)
        return "slow"

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cache.get, paths[0], slow)
        assert begun.wait(10)
        assert content(cache.get(paths[1], Loads())) == "b"
        release.set()
        waiting.result(10)


def test_a_file_that_was_replaced_is_loaded_anew(paths: list[Path]) -> None:
    cache, load = ModelCache(2), Loads()
    old = cache.get(paths[0], load)
    new = paths[0].with_name("new")
    new.write_text("n")
    status = paths[0].stat()
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(paths[0])
    assert (content(cache.get(paths[0], load)), content(old)) == ("n", "a")


def test_what_could_not_be_loaded_is_tried_again(paths: list[Path]) -> None:
    cache = ModelCache(1)

    def broken(path: Path) -> Any:
        raise ValueError("damaged")

    kept = cache.get(paths[1], Loads())
    with pytest.raises(ValueError, match="damaged"):
        cache.get(paths[0], broken)
    assert (content(cache.get(paths[0], Loads())), content(kept)) == ("a", "b")


def test_one_thread_at_a_time_uses_a_model(paths: list[Path]) -> None:
    cached, inside, most = ModelCache(1).get(paths[0], Loads()), 0, 0

    def use(_: int) -> None:
        nonlocal inside, most
        with cached.use():
            inside += 1
            most = max(most, inside)
            time.sleep(0.001)
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(50)))
    assert most == 1


def test_a_cache_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ModelCache(0)


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ModelCache(1).get(tmp_path / "none", Loads())
