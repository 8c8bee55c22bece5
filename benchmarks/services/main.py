"""How the trainer bears load: submissions and watchers on loopback, with real training jobs behind.

Starts a trainer, submits training jobs at a fixed rate while others watch the jobs' events and a
probe asks for jobs, then cancels what still waits and counts: every job that was taken must be in
the list and have ended once, and every watcher must have seen each event once. The floor is an
empty call (a health check) on the same server at the same time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ktt_core.datasets.options import ImportOptions
from services.load import Load
from services.server import trainer
from trainer import Trainer

_MODEL = "tfidf_hsgd"


def make_dataset(workspace: Path) -> None:
    """Import a small dataset: the load is to fall on the server, not on its workers."""
    source = workspace / "source.csv"
    rows = [f"word{n % 20} common{n % 3},top{n % 2},leaf{n % 20}" for n in range(400)]
    workspace.mkdir(parents=True, exist_ok=True)
    source.write_text("\n".join(["text,top,leaf", *rows]) + "\n")
    options = ImportOptions(text="text", level_columns=("top", "leaf"))
    Trainer(workspace).import_dataset(source, "load", options)


def measure(rate: float, seconds: float, watchers: int, queue_limit: int) -> dict[str, Any]:
    """Run the load against a fresh trainer, and return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder) / "workspace"
        make_dataset(workspace)
        with trainer(workspace, Path(folder) / "log.txt", queue_limit=queue_limit) as server:
            idle, memory = server.memory_mb(), []
            load = Load(server.address, "load", _MODEL)
            result = asyncio.run(
                load.run(
                    rate=rate,
                    seconds=seconds,
                    watchers=watchers,
                    sample=lambda: memory.append(server.memory_mb()),
                )
            )
            after, cpu = server.memory_mb(), server.cpu_seconds()
    half = len(memory) // 2
    get, floor = quantiles(result.get_s), quantiles(result.floor_s)
    return {
        "submitted": len(result.submitted),
        "refused": result.refused,
        "missing": len(result.missing),
        "states": result.states,
        "watchers": len(result.watched),
        "broken_watches": result.broken_watches,
        "events_seen": sum(map(len, result.watched)),
        "create_ms": quantiles(result.submit_s),
        "get_ms": get,
        "empty_call_ms": floor,
        "get_times_empty_call_p99": round(get["p99"] / floor["p99"], 2),
        "server_cpu_seconds": round(cpu, 1),
        "memory_mb": {
            "idle": round(idle),
            "peak_first_half": round(max(memory[:half], default=idle)),
            "peak_second_half": round(max(memory[half:], default=idle)),
            "after": round(after),
        },
    }


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Return the median, p99 and maximum in milliseconds."""
    p50, p99, most = np.quantile(seconds, [0.5, 0.99, 1.0]) * 1e3
    return {"p50": round(float(p50), 2), "p99": round(float(p99), 2), "max": round(float(most), 2)}


def main() -> None:
    """Parse the command line, run, print; exit code 1 if a job was lost or a watcher misled."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=50, help="submissions per second (50)")
    parser.add_argument("--seconds", type=float, default=20, help="of submissions (20)")
    parser.add_argument("--watchers", type=int, default=200, help="at the same time (200)")
    parser.add_argument("--queue-limit", type=int, default=2_000, help="of the trainer (2000)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    figures = measure(options.rate, options.seconds, options.watchers, options.queue_limit)
    lost = figures["missing"] or figures["broken_watches"]
    if options.json:
        print(json.dumps(figures, indent=2))
        sys.exit(1 if lost else 0)
    states = ", ".join(f"{count:,} {name}" for name, count in sorted(figures["states"].items()))
    memory = figures["memory_mb"]
    print(
        f"{figures['submitted']:,} jobs taken, {figures['refused']:,} refused, "
        f"{figures['missing']:,} lost; in the end: {states}\n"
        f"{figures['watchers']:,} watchers saw {figures['events_seen']:,} events; "
        f"{figures['broken_watches']:,} of them missed one or saw one twice"
    )
    for title, key in (
        ("CreateTrainingJob", "create_ms"),
        ("GetTrainingJob", "get_ms"),
        ("an empty call", "empty_call_ms"),
    ):
        row = figures[key]
        print(f"{title}: p50 {row['p50']} ms, p99 {row['p99']} ms, at most {row['max']} ms")
    print(
        f"GetTrainingJob's p99 is {figures['get_times_empty_call_p99']} times the empty call's\n"
        f"server: {figures['server_cpu_seconds']} s of processor time; memory {memory['idle']} MB "
        f"idle, peak {memory['peak_first_half']} MB in the first half and "
        f"{memory['peak_second_half']} MB in the second, {memory['after']} MB after"
    )
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
