"""Prometheus metrics of a server, on a separate port."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Iterable
from typing import Any

import grpc
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ktt_core.errors import InvalidArgumentError
from ktt_jobs import Job, JobService, JobState

__all__ = ["ServerMetrics"]

_LOG = logging.getLogger(__name__)
# Disables an additional, unused series per counter.
disable_created_metrics()

_CALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
_JOB_BUCKETS = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600)


class ServerMetrics:
    """Metrics of a server. No label value is chosen by a caller.

    Parameters
    ----------
    services : iterable of str
        Full names of the services, for ``ktt_build_info``.
    jobs : JobService, optional
        Jobs whose queue and ends are also counted.
    """

    def __init__(self, services: Iterable[str], jobs: JobService | None = None) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._calls = Counter(
            "ktt_rpc_calls",
            "Calls that have ended, by method and status code.",
            ["method", "code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "ktt_rpc_call_seconds",
            "Time that calls took, by method; watching calls are left out.",
            ["method"],
            buckets=_CALL_BUCKETS,
            registry=self.registry,
        )
        self._running = Gauge(
            "ktt_rpc_calls_in_flight",
            "Calls that are being answered, by method.",
            ["method"],
            registry=self.registry,
        )
        build = Gauge(
            "ktt_build_info",
            "What runs; always 1. The version is that of the environment variable KTT_BUILD.",
            ["service", "version", "python", "grpc"],
            registry=self.registry,
        )
        for service in services:
            build.labels(
                service,
                os.environ.get("KTT_BUILD", "unknown"),
                platform.python_version(),
                grpc.__version__,
            ).set(1)
        if jobs is not None:
            self._add_jobs(jobs)

    def _add_jobs(self, jobs: JobService) -> None:
        ended = Counter(
            "ktt_jobs_ended",
            "Jobs that have ended since the server began, by kind and state.",
            ["kind", "state"],
            registry=self.registry,
        )
        seconds = Histogram(
            "ktt_job_seconds",
            "Time from a job's (last) begin to its end, by kind.",
            ["kind"],
            buckets=_JOB_BUCKETS,
            registry=self.registry,
        )
        for kind in jobs.tasks:
            seconds.labels(kind)
            for state in JobState:
                if state.ended:
                    ended.labels(kind, state.name)

        def count(job: Job) -> None:
            ended.labels(job.kind, job.state.name).inc()
            if job.start_time is not None and job.end_time is not None:
                seconds.labels(job.kind).observe((job.end_time - job.start_time).total_seconds())

        jobs.on_end.append(count)
        self.registry.register(_JobCounts(jobs))

    def begin_call(self, method: str) -> None:
        """Count a started call."""
        self._running.labels(method).inc()

    def end_call(self, method: str, code: str, seconds: float | None) -> None:
        """Count an ended call; without `seconds`, its duration is not recorded."""
        self._running.labels(method).dec()
        self._calls.labels(method, code).inc()
        if seconds is not None:
            self._seconds.labels(method).observe(seconds)

    def serve(self, host: str, port: int) -> tuple[int, Callable[[], None]]:
        """Serve Prometheus over HTTP in a thread.

        Returns
        -------
        int
            The port.
        callable
            Stops it.

        Raises
        ------
        InvalidArgumentError
            If the address is not available.
        """
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            raise InvalidArgumentError(
                f"cannot listen on {host}:{port} for metrics: {error.strerror or error}. Give "
                "another --metrics-host or --metrics-port, or --no-metrics"
            ) from error

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return server.server_port, end


class _JobCounts(Collector):
    """Collects the jobs' states when Prometheus requests them."""

    def __init__(self, jobs: JobService) -> None:
        self._jobs = jobs

    def describe(self) -> Iterable[Any]:
        """Return nothing, so that the registration does not query the store."""
        return []

    def collect(self) -> Iterable[Any]:
        try:
            stats = self._jobs.stats()
        except Exception:
            # The other metrics are still needed if the store is unavailable.
            _LOG.exception("the jobs could not be counted")
            return
        yield GaugeMetricFamily(
            "ktt_jobs_queued", "Jobs that wait for a worker.", stats.get(JobState.QUEUED.name, 0)
        )
        yield GaugeMetricFamily(
            "ktt_jobs_running", "Jobs that a worker runs.", stats.get(JobState.RUNNING.name, 0)
        )
        kept = GaugeMetricFamily("ktt_jobs_kept", "Jobs in the store, by state.", labels=["state"])
        for state in JobState:
            kept.add_metric([state.name], stats.get(state.name, 0))
        yield kept
