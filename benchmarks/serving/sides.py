"""What is measured side by side: bundles, the original's design, an empty service, a bare loop."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from serving.bundle import Bundle
from serving.processes import Server, free_port, own_program, running

__all__ = ["MONITORS", "bare_loop", "bundle_server", "empty_server", "monitor", "original_server"]

_PROGRAMS = Path(__file__).parent / "programs"
_BENTOML: list[str | Path] = [_PROGRAMS / "loopback.py", "serve-gunicorn", "./"]

#: In what state a monitoring service may be, as seen by a bundle.
MONITORS = ("off", "live", "dead", "hanging")


@contextlib.contextmanager
def monitor(state: str) -> Iterator[int]:
    """Give the port of a monitoring service that is "live", "dead" or "hanging"."""
    if state in ("off", "dead"):
        yield free_port()
        return
    command = [*own_program("monitor_stub"), "answers" if state == "live" else "hangs"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def bundle_server(
    bundle: Bundle,
    monitor_port: int | None,
    workers: int,
    folder: Path,
    by_bentoml: bool = False,
) -> Iterator[Server]:
    """Serve a bundle as its image does; without a port for rows they are switched off.

    Or `by_bentoml`, as BentoML's own command does.
    """
    rows = {"KTT_MONITOR": "0"}
    if monitor_port is not None:
        rows = {"EVIDENTLY_HOST": "127.0.0.1", "EVIDENTLY_PORT": str(monitor_port)}
    program: Sequence[str | Path] = _BENTOML if by_bentoml else [bundle.inference / "start"]
    with _bento(bundle.python, program, bundle.inference, workers, folder, rows) as server:
        yield server


@contextlib.contextmanager
def empty_server(python: Path, workers: int, folder: Path) -> Iterator[Server]:
    """Serve a BentoService that does nothing, in the same way."""
    saved = folder / "empty"
    saved.mkdir()
    subprocess.run(
        [python, _PROGRAMS / "empty_service.py", saved],
        check=True,
        env=_environment(folder, {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with _bento(python, _BENTOML, saved, workers, folder, {}) as server:
        yield server


@contextlib.contextmanager
def original_server(
    bundle: Bundle, monitor_port: int, workers: int, folder: Path
) -> Iterator[Server]:
    """Serve a bundle's checkpoint in the original's way."""
    port = free_port()
    arguments = [bundle.model_id, bundle.checkpoint, port, monitor_port, workers]
    command = [*own_program("original"), *map(str, arguments)]
    with running(command, folder / "original.log", port, "/") as server:
        yield server


def bare_loop(bundle: Bundle, texts: Sequence[str], batch: int, seconds: float) -> dict[str, Any]:
    """Answer texts in a loop, without a server; returns texts and processor seconds a second."""
    command = [bundle.python, _PROGRAMS / "bare_loop.py", bundle.package, bundle.artifacts]
    done = subprocess.run(
        [*command, str(batch), str(seconds)],
        input="\n".join(map(json.dumps, texts)).encode(),
        stdout=subprocess.PIPE,
        check=True,
        env=_environment(Path("/nonexistent"), {}),
    )
    figures = json.loads(done.stdout)
    return {
        "texts_per_second": figures["texts"] / figures["seconds"],
        "cpu_ms": 1e3 * figures["cpu"] / figures["texts"],
    }


def _environment(home: Path, more: dict[str, str]) -> dict[str, str]:
    """Return the variables of a bundle's image, and none that is meant for this process."""
    kept = {name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **more,
    }


@contextlib.contextmanager
def _bento(
    python: Path,
    program: Sequence[str | Path],
    saved: Path,
    workers: int,
    folder: Path,
    more: dict[str, str],
) -> Iterator[Server]:
    port = free_port()
    home = folder / f"bentoml-{port}"
    home.mkdir()
    environment = _environment(home, {"BENTOML_GUNICORN_WORKERS": str(workers), **more})
    command = [python, *program, "--port", str(port)]
    log = folder / f"bentoml-{port}.log"
    with running(command, log, port, "/healthz", environment, saved) as server:
        yield server
