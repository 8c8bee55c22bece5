"""What a window costs the monitor: time and memory of one computation, by window size.

For each size a monitor of its own (a process) watches a made-up classifier: 26 features and as many
classes as asked for. It is sent windows of new rows, and after each its metrics tell how long each
monitor took. Printed are medians over the computations after the first, the processor time that a
whole computation took (the page included), and the memory at the end; and the ratio of the sizes.
The time that taking the rows takes is measured beside it, while nothing is computed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_FEATURES = 26
_MONITORS = ("data_drift", "cat_target_drift")
_PATIENCE_SECONDS = 300.0
_PREFIX = "ktt_monitoring_"


class Classifier:
    """Draws what a classifier says of texts: features, and probabilities of all classes."""

    def __init__(self, n_classes: int) -> None:
        self.names = [f"class {number}" for number in range(n_classes)]
        self._rng = np.random.default_rng(0)
        weights = 1.0 / np.arange(1, n_classes + 1)
        self._shares = weights / weights.sum()

    def draw(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw true classes, and the numbers of rows."""
        target = self._rng.choice(len(self.names), size=n, p=self._shares)
        scores = self._rng.exponential(size=(n, len(self.names))) ** 4
        scores /= scores.sum(axis=1, keepdims=True)
        scores[np.arange(n), target] += 1.5
        scores /= scores.sum(axis=1, keepdims=True)
        features = self._rng.normal(size=(n, _FEATURES))
        return target, np.concatenate([features, scores], axis=1).astype(np.float32)

    def write(self, folder: Path, n_reference: int, window: int) -> Path:
        """Write a reference set and a configuration."""
        target, numbers = self.draw(n_reference)
        columns = [pa.array([self.names[place] for place in target])]
        columns += [pa.array(column) for column in numbers.T.copy()]
        names = ["targets", *map(str, range(_FEATURES)), *self.names]
        pq.write_table(pa.table(columns, names), folder / "references.parquet")
        service = {
            "reference_path": "references.parquet",
            "window_size": window,
            "min_reference_size": window,
            "use_reference": False,
            "calculation_period_sec": 0.1,
            "monitors": list(_MONITORS),
        }
        path = folder / "evidently.yaml"
        # JSON is YAML.
        path.write_text(json.dumps({"service": service, "prediction": self.names}))
        return path

    def body(self, n: int) -> bytes:
        """Make a request of so many rows."""
        _, numbers = self.draw(n)
        rows = [[None, *(float(f"{x:.7g}") for x in row)] for row in numbers]
        return json.dumps({"data": rows}).encode()


class Monitor:
    """A monitor in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], address: str) -> None:
        self._process = process
        self._address = address
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def send(self, body: bytes) -> float:
        """Send rows; return the seconds it took."""
        start = time.perf_counter()
        with self._opener.open(f"{self._address}/iterate", body, timeout=_PATIENCE_SECONDS) as a:
            a.read()
        return time.perf_counter() - start

    def metrics(self) -> dict[str, float]:
        """Give all samples by name and labels."""
        with self._opener.open(f"{self._address}/metrics", timeout=_PATIENCE_SECONDS) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name.removeprefix(_PREFIX): float(value) for name, value in pairs}

    def wait_computed(self, times: int) -> dict[str, float]:
        """Wait until so many computations have succeeded."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            seen = self.metrics()
            if seen['computations_total{outcome="failed"}']:
                raise SystemExit("a computation failed")
            if seen['computations_total{outcome="succeeded"}'] >= times:
                return seen
            time.sleep(0.05)
        raise SystemExit("a computation took too long")


@contextlib.contextmanager
def running(config: Path) -> Iterator[Monitor]:
    """Run a monitor for a while."""
    log = config.parent / "log.txt"
    command = [sys.executable, "-m", "monitoring.main", "--config", str(config), "--port=0"]
    command += ["--body-limit-mb=512"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
    try:
        yield Monitor(process, _address(process, log))
    finally:
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + _PATIENCE_SECONDS
    address = ""
    while time.monotonic() < end and process.poll() is None:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
        address = next((line["address"] for line in lines if "address" in line), address)
        if address and any(line["message"] == "ready to compute" for line in lines):
            return address
        time.sleep(0.1)
    raise SystemExit(f"the monitor did not start:\n{log.read_text()}")


def measure(n_classes: int, n_reference: int, window: int, repeats: int) -> dict[str, Any]:
    """Measure one size of window."""
    classifier = Classifier(n_classes)
    bodies = [classifier.body(window) for _ in range(repeats + 1)]
    with tempfile.TemporaryDirectory() as name:
        config = classifier.write(Path(name), n_reference, window)
        with running(config) as monitor:
            sends: list[float] = []
            cpu: list[float] = []
            totals: list[dict[str, float]] = []
            before = monitor.metrics()
            for number, body in enumerate(bodies, start=1):
                sends.append(monitor.send(body))
                after = monitor.wait_computed(number)
                totals.append({m: _seconds(after, m) - _seconds(before, m) for m in _MONITORS})
                cpu.append(after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"])
                before = after
    return {
        "window": window,
        **{m: statistics.median(total[m] for total in totals[1:]) for m in _MONITORS},
        "cpu": statistics.median(cpu[1:]),
        "send": statistics.median(sends[1:]),
        "memory": before["process_resident_memory_bytes"] / 1024**2,
    }


def _seconds(metrics: dict[str, float], monitor: str) -> float:
    return metrics[f'computation_duration_seconds_sum{{monitor="{monitor}"}}']


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--windows", type=int, nargs="+", default=[30, 1000], metavar="ROWS")
    parser.add_argument("--classes", type=int, default=1900, help="default: 1900, as ICD-10-CM")
    parser.add_argument("--reference", type=int, default=5000, help="rows of it; default: 5000")
    parser.add_argument("--repeats", type=int, default=5, help="computations; default: 5")
    arguments = parser.parse_args()
    print(
        f"{_FEATURES} features, {arguments.classes} classes, {arguments.reference} reference rows; "
        f"seconds, medians of {arguments.repeats} computations"
    )
    head = ("window", *_MONITORS, "processor", "rows taken in", "memory MiB")
    print("  ".join(f"{name:>16}" for name in head))
    results = []
    for window in arguments.windows:
        found = measure(arguments.classes, arguments.reference, window, arguments.repeats)
        results.append(found)
        cells = [f"{window:>16}"]
        cells += [f"{found[name]:>16.3f}" for name in (*_MONITORS, "cpu", "send")]
        print("  ".join([*cells, f"{found['memory']:>16.0f}"]), flush=True)
    first, last = results[0], results[-1]
    ratios = [last[name] / first[name] for name in (*_MONITORS, "cpu", "send", "memory")]
    print("  ".join([f"{'ratio':>16}", *(f"{ratio:>16.2f}" for ratio in ratios)]))


if __name__ == "__main__":
    main()
