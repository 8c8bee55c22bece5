"""Measurements in turns, and what they come to."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serving.processes import Server, own_program

__all__ = ["Figures", "in_turns", "put_load_on"]


@dataclass
class Figures:
    """All measurements of one server at one number of clients.

    Attributes
    ----------
    per_second : list of float
        Requests per second of each turn.
    milliseconds : list of float
        Of all requests of all turns.
    p99 : list of float
        Of each turn.
    failures : dict of str to int
    server_cpu_ms, clients_cpu_ms : list of float
        Processor milliseconds a request, of each turn.
    """

    per_second: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    server_cpu_ms: list[float] = field(default_factory=list)
    clients_cpu_ms: list[float] = field(default_factory=list)

    def add(self, measured: Mapping[str, Any], server_cpu: float) -> None:
        """Take in one turn."""
        times = measured["milliseconds"]
        self.per_second.append(len(times) / measured["seconds"])
        self.milliseconds += times
        self.p99.append(float(np.quantile(times, 0.99)) if times else float("nan"))
        for what, count in measured["failures"].items():
            self.failures[what] = self.failures.get(what, 0) + count
        self.server_cpu_ms.append(1e3 * server_cpu / max(1, measured["answered"]))
        self.clients_cpu_ms.append(1e3 * measured["cpu_seconds"] / max(1, len(times)))

    def summary(self) -> dict[str, Any]:
        """Return what goes into the table."""
        p50, p99 = np.quantile(self.milliseconds or [float("nan")], [0.5, 0.99])
        return {
            "requests_per_second": round(statistics.median(self.per_second), 1),
            "p50_ms": round(float(p50), 2),
            "p99_ms": round(float(p99), 2),
            "server_cpu_ms": round(statistics.median(self.server_cpu_ms), 3),
            "clients_cpu_ms": round(statistics.median(self.clients_cpu_ms), 3),
            "failures": self.failures,
        }


def put_load_on(
    server: Server,
    path: str,
    clients: int,
    seconds: float,
    questions: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, Any], float]:
    """Return what the clients saw, and the processor seconds the server used meanwhile."""
    bodies = "\n".join(map(json.dumps, questions)).encode()
    before = server.cpu_seconds()
    done = subprocess.run(
        [*own_program("load"), server.address, path, str(clients), str(seconds)],
        input=bodies,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout), server.cpu_seconds() - before


def in_turns(
    servers: Mapping[str, Server],
    path: str,
    clients: Sequence[int],
    seconds: float,
    rounds: int,
    texts: Sequence[str],
) -> dict[str, dict[int, Figures]]:
    """Measure servers one after the other, again and again, so that all see the same machine."""
    figures = {name: {count: Figures() for count in clients} for name in servers}
    names = list(servers)
    questions = [{"text": text} for text in texts]
    for turn in range(rounds):
        for count in clients:
            # Nobody is always the one who comes after a certain other.
            for name in names if turn % 2 == 0 else reversed(names):
                measured = put_load_on(servers[name], path, count, seconds, questions)
                figures[name][count].add(*measured)
    return figures
