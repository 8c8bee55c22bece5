"""How often a bundle's monitor alarms on texts like those of its reference, and on others.

The texts go through the bundle's own service, several at a time, and its rows through the bundle's
own monitoring code. As a program, on a bundle that there is:

    python tests/monitor_parity.py WORKSPACE BUNDLE DATASET OTHER_DATASET [--python PYTHON]

PYTHON has what ``inference/requirements.txt`` asks for; by default such an environment is made.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, ks_2samp

from conftest import free_port
from ktt_core.workspace import Workspace
from ktt_packing.client.environment import make_environment

__all__ = ["ALARM_RATE", "Bundle", "Watcher", "most_alarms", "served_rows"]

ALARM_RATE = 0.05
WINDOW = 30
CLIENTS = 12
MONITORS = ("data_drift", "cat_target_drift")


def most_alarms(windows: int) -> int:
    """Return the upper end of the 99 % binomial bound of the alarm rate."""
    return int(binom.ppf(0.995, windows, ALARM_RATE))


@dataclass(frozen=True)
class Bundle:
    """A bundle's folder, and a Python that has what its service needs."""

    folder: Path
    python: Path


class _Listener:
    """Keeps what a service tells its monitor, by the request's id."""

    def __init__(self) -> None:
        rows: dict[str, list[Any]] = {}
        self.rows = rows

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                rows.update(zip(said["ids"], said["data"], strict=True))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def _service(bundle: Bundle, monitor_port: int) -> Iterator[int]:
    """Run a bundle's service; gives its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as home, (Path(home) / "log").open("w+b") as log:
        process = subprocess.Popen(
            [bundle.python, "-m", "bentoml", "serve-gunicorn", "./", "--port", str(port)],
            cwd=bundle.folder / "inference",
            env={
                # Nothing that leads to this repository.
                "PATH": os.defpath,
                "HOME": home,
                "BENTOML_HOME": f"{home}/bentoml",
                "BENTOML_DO_NOT_TRACK": "True",
                "BENTOML_GUNICORN_WORKERS": "1",
                "EVIDENTLY_PORT": str(monitor_port),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            end = time.monotonic() + 180
            while True:
                with contextlib.suppress(OSError, AssertionError, http.client.HTTPException):
                    _ask(port, "ready?")
                    break
                log.seek(0)
                assert process.poll() is None and time.monotonic() < end, log.read().decode()
                time.sleep(0.2)
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _ask(port: int, text: str) -> str:
    """Have a text answered; return the id that its row has."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(
            "POST", "/predict", json.dumps({"text": text}), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, body
        request_id = response.getheader("X-Request-Id")
        assert request_id is not None
        return request_id
    finally:
        connection.close()


def served_rows(bundle: Bundle, texts: Sequence[str]) -> list[list[Any]]:
    """Return the rows that a bundle's service sends its monitor of texts, in their order."""
    listener = _Listener()
    try:
        with _service(bundle, listener.port) as port, ThreadPoolExecutor(CLIENTS) as clients:
            ids = list(clients.map(lambda text: _ask(port, text), texts))
            end = time.monotonic() + 120
            while not set(ids) <= listener.rows.keys():
                missing = len(set(ids) - listener.rows.keys())
                assert time.monotonic() < end, f"{missing} rows of {len(ids)} did not come"
                time.sleep(0.05)
        return [listener.rows[request_id] for request_id in ids]
    finally:
        listener.close()


class Watcher:
    """A bundle's own monitoring code and reference set, without a server."""

    def __init__(self, bundle: Bundle) -> None:
        self._code = _import(bundle.folder / "monitoring" / "ktt_monitor")
        settings = self._code("settings").load_settings(
            bundle.folder / "monitoring" / "evidently.yaml"
        )
        loaded = self._code("reference").load_reference(settings)
        self.layout, self.reference = loaded.layout, loaded.rows
        # In the place of Evidently, which computes the same and draws it.
        self._reports = SimpleNamespace(numeric_drift=_numeric_drift, class_drift=self._class_drift)

    def records(self, rows: Sequence[Sequence[Any]]) -> NDArray[Any]:
        """Return what the monitor keeps of rows."""
        body = json.dumps({"data": rows}).encode()
        parsed = self._code("rows").parse_rows(body, self.layout)
        kept: NDArray[Any] = self.layout.window_rows(parsed.records)
        return kept

    def alarms(self, reference: NDArray[Any], window: NDArray[Any]) -> dict[str, bool]:
        """Return which monitors alarm on a window."""
        snapshot = self._code("state").Snapshot(window, window[:0], reference)
        run = self._code("monitors").run_monitor
        return {
            name: run(name, snapshot, self.layout, ALARM_RATE, self._reports).alarm
            for name in MONITORS
        }

    def count(self, records: NDArray[Any], windows: int) -> tuple[dict[str, int], int]:
        """Count the alarms of windows without drift.

        Each time the rows are split anew: one half is the reference, of the other come disjoint
        windows.

        Parameters
        ----------
        records : ndarray
            What was served of the reference's texts, in its order.
        windows : int
            At least so many.

        Returns
        -------
        alarms : dict of str to int
            By monitor.
        windows : int
            How many there were.
        """
        own = self.reference
        rng, done = np.random.default_rng(0), 0
        found = dict.fromkeys(MONITORS, 0)
        half = len(own) // 2
        assert half >= WINDOW, "a half of the rows is less than a window"
        while done < windows:
            order = rng.permutation(len(own))
            for start in range(half, len(own) - WINDOW + 1, WINDOW):
                window = records[order[start : start + WINDOW]]
                for name, alarm in self.alarms(own[order[:half]], window).items():
                    found[name] += alarm
                done += 1
        return found, done

    def _class_drift(
        self, reference: Sequence[str], window: Sequence[str], column: str, threshold: float
    ) -> SimpleNamespace:
        _, codes = np.unique([*reference, *window], return_inverse=True)
        test = self._code("permutation").class_shift_p_value
        p_value = test(codes[: len(reference)], codes[len(reference) :])
        return SimpleNamespace(values={column: p_value}, widgets=[])


def _numeric_drift(
    reference: NDArray[Any], window: NDArray[Any], columns: Sequence[str], threshold: float
) -> SimpleNamespace:
    values = {
        name: float(ks_2samp(reference[:, place], window[:, place]).pvalue)
        for place, name in enumerate(columns)
    }
    return SimpleNamespace(values=values, widgets=[])


def _import(package: Path) -> Any:
    """Import a package by its folder; returns what gives its modules."""
    name = f"_monitor_of_{abs(hash(package))}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, package / "__init__.py", submodule_search_locations=[str(package)]
        )
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return lambda module: import_module(f"{name}.{module}")


def texts_of(workspace: Path, dataset: str) -> list[str]:
    """Return the texts of a dataset's test split, in order."""
    split = Workspace(workspace).open_dataset(dataset).split("test")
    return [text for texts, _ in split.iter_batches(512) for text in texts]


def main() -> None:
    """Count on a bundle that there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("dataset")
    parser.add_argument("other")
    parser.add_argument("--python", type=Path)
    parser.add_argument("--windows", type=int, default=64)
    given = parser.parse_args()
    folder = given.bundle.resolve()
    python = given.python or make_environment(folder / "inference/requirements.txt")
    bundle = Bundle(folder, python)
    watcher = Watcher(bundle)
    own, others = texts_of(given.workspace, given.dataset), texts_of(given.workspace, given.other)
    rows = served_rows(bundle, [*own, *others[: 2 * WINDOW]])
    records = watcher.records(rows)
    found, windows = watcher.count(records[: len(own)], given.windows)
    print(f"{windows} windows of {given.dataset}, at most {most_alarms(windows)} alarms: {found}")
    own_numbers = watcher.reference.copy()
    # Rows that a window was filled with at the start raise no alarm.
    own_numbers["seeded"] = False
    itself, _ = watcher.count(own_numbers, given.windows)
    print(f"the reference's own numbers in the place of the service's: {itself}")
    for start in (0, WINDOW):
        window = records[len(own) + start :][:WINDOW]
        print(f"{given.other}: {watcher.alarms(watcher.reference, window)}")


if __name__ == "__main__":
    main()
