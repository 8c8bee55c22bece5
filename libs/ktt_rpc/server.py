"""A gRPC server: everything except its services."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from ktt_core.errors import InvalidArgumentError, KttError
from ktt_jobs import JobService
from ktt_rpc.addresses import check_free, is_loopback, join_address
from ktt_rpc.interceptor import CallInterceptor
from ktt_rpc.job_log import log_ends
from ktt_rpc.logs import configure_logging
from ktt_rpc.metrics import ServerMetrics
from ktt_rpc.private_paths import PrivatePaths
from ktt_rpc.readiness import Readiness
from ktt_rpc.reflection import offer_reflection
from ktt_rpc.server_tls import server_credentials
from ktt_rpc.settings import ServerSettings
from ktt_rpc.shutdown import ShutdownFlag
from ktt_rpc.tokens import TokenSet

__all__ = ["RunningServer", "ServiceSpec", "running_server", "serve"]

_LOG = logging.getLogger("ktt_rpc.server")
# Seconds between NOT_SERVING and the end of accepting calls, for clients that poll.
_DRAIN = 0.5


@dataclass(frozen=True)
class ServiceSpec:
    """A gRPC service that a server offers.

    Attributes
    ----------
    add_to_server : callable
        The generated ``add_..._to_server(servicer, server)``.
    servicer : object
        With one coroutine (or asynchronous generator) per call.
    full_name : str
        "ktt.trainer.v1.TrainerService".
    private : tuple of Path
        Folders whose paths are hidden from clients.
    """

    add_to_server: Callable[[Any, Any], None]
    servicer: Any
    full_name: str
    private: tuple[Path, ...] = ()


def serve(
    services: Sequence[ServiceSpec],
    settings: ServerSettings,
    *,
    jobs: JobService | None = None,
    on_start: Callable[[], None] | None = None,
    on_stop: Callable[[], None] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; log to standard error.

    The address is bound first, then `jobs` are started, then `on_start` is called, then calls are
    accepted. On a signal health becomes NOT_SERVING, watching calls end with UNAVAILABLE, other
    calls have half of `settings.grace`, then `on_stop` is called and `jobs` are stopped within the
    rest. A second signal ends the waiting.

    Returns
    -------
    int
        The exit code: 0 after a signal; 2 for wrong settings and 1 for other errors, which are
        logged.
    """
    configure_logging(settings.log_level)
    try:
        asyncio.run(_serve(services, settings, jobs, on_start, on_stop))
    except KttError as error:
        _LOG.error("cannot start: %s", error)
        return 2 if isinstance(error, InvalidArgumentError) else 1
    except Exception:
        _LOG.exception("the server failed")
        return 1
    _LOG.info("stopped")
    return 0


@asynccontextmanager
async def running_server(
    services: Sequence[ServiceSpec],
    settings: ServerSettings,
    *,
    jobs: JobService | None = None,
    on_start: Callable[[], None] | None = None,
    on_stop: Callable[[], None] | None = None,
) -> AsyncIterator[str]:
    """Serve during the body, as `serve` does, and yield the address with its real port."""
    server = RunningServer(services, settings, jobs, on_start, on_stop)
    await server.start()
    try:
        yield server.address
    finally:
        await server.stop()


async def _serve(
    services: Sequence[ServiceSpec],
    settings: ServerSettings,
    jobs: JobService | None,
    on_start: Callable[[], None] | None,
    on_stop: Callable[[], None] | None,
) -> None:
    signals = asyncio.Queue[signal.Signals]()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    readiness = Readiness()
    server = RunningServer(services, settings, jobs, on_start, on_stop)
    await server.start()
    readiness.ready(server.address)
    number = await signals.get()
    _LOG.info("%s: stopping", number.name)
    readiness.stopping()
    stopping = asyncio.create_task(server.stop())
    again = asyncio.create_task(signals.get())
    await asyncio.wait({stopping, again}, return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        _LOG.warning("%s again: calls and jobs are given no more time", again.result().name)
        await server.hurry()
    again.cancel()
    await stopping


class RunningServer:
    """A server with its services, jobs and metrics.

    Parameters
    ----------
    services, settings, jobs, on_start, on_stop
        As those of `serve`.

    Attributes
    ----------
    address : str
        With the real port, once started.
    metrics_port : int or None
    watchers : int
        Current number of watching calls.
    """

    def __init__(
        self,
        services: Sequence[ServiceSpec],
        settings: ServerSettings,
        jobs: JobService | None = None,
        on_start: Callable[[], None] | None = None,
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        self._services = services
        self._settings = settings
        self._jobs = jobs
        self._on_start = on_start
        self._on_stop = on_stop
        self._stopping = ShutdownFlag()
        self._health = health_aio.HealthServicer()
        self._metrics = ServerMetrics((spec.full_name for spec in services), jobs)
        self._end_metrics: Callable[[], None] | None = None
        self._grace = settings.grace
        if jobs is not None:
            log_ends(jobs)
        self.address = ""
        self.metrics_port: int | None = None

    @property
    def watchers(self) -> int:
        """Current number of watching calls."""
        return self._interceptor.watchers

    async def start(self) -> None:
        """Listen, start the jobs, accept calls.

        Raises
        ------
        InvalidArgumentError
            If the settings are wrong, or the address is not available.
        KttError
            From starting the jobs.
        """
        settings = self._settings
        settings.check()
        credentials = server_credentials(settings)
        tokens = TokenSet.from_file(settings.tokens_file) if settings.tokens_file else None
        private = PrivatePaths(folder for spec in self._services for folder in spec.private)
        self._interceptor = CallInterceptor(
            settings, tokens, self._metrics, self._stopping, private
        )
        self._server = grpc.aio.server(interceptors=[self._interceptor], options=_options(settings))
        self._add_services()
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        port = self._listen(credentials)
        self.address = join_address(settings.host, port)
        try:
            if settings.metrics_port is not None:
                self.metrics_port, self._end_metrics = self._metrics.serve(
                    settings.metrics_host, settings.metrics_port
                )
            if self._jobs is not None:
                await asyncio.to_thread(self._jobs.start)
            if self._on_start is not None:
                await asyncio.to_thread(self._on_start)
            await self._server.start()
        except BaseException:
            await self._server.stop(0)
            await self._stop_rest()
            raise
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        self._announce(tokens is not None)

    async def stop(self) -> None:
        """Stop within the settings' grace; see `serve`."""
        with suppress(TimeoutError):
            # A health watcher that does not read would hold its lock, and block this, forever.
            await asyncio.wait_for(self._health.enter_graceful_shutdown(), _DRAIN)
        self._stopping.set()
        await asyncio.sleep(min(_DRAIN, self._grace / 4))
        await self._server.stop(self._grace / 2)
        await self._stop_rest()

    async def hurry(self) -> None:
        """End the grace period of a running `stop`."""
        self._grace = 0.0
        await self._server.stop(0)

    async def _stop_rest(self) -> None:
        if self._end_metrics is not None:
            await asyncio.to_thread(self._end_metrics)
        try:
            if self._on_stop is not None:
                await asyncio.to_thread(self._on_stop)
        finally:
            # Even after errors: no worker may outlive the server.
            if self._jobs is not None:
                await asyncio.to_thread(self._jobs.stop, grace=self._grace / 2)

    def _add_services(self) -> None:
        for spec in self._services:
            spec.add_to_server(spec.servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [spec.full_name for spec in self._services]
        health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        offer_reflection(self._server, [*names, health_name])

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *(spec.full_name for spec in self._services)):
            await self._health.set(name, status)

    def _listen(self, credentials: grpc.ServerCredentials | None) -> int:
        address = self._settings.address
        check_free(address)
        try:
            if credentials is not None:
                port = self._server.add_secure_port(address, credentials)
            else:
                port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise InvalidArgumentError(
                f"cannot listen on {address}: is another server there, or is it not an address of "
                "this machine? Give another --host or --port"
            ) from error
        return int(port)

    def _announce(self, tokens: bool) -> None:
        settings = self._settings
        security = "mutual TLS" if settings.client_ca else "TLS" if settings.tls_cert else "plain"
        _LOG.info(
            "listening on %s (%s, %s; metrics: %s)",
            self.address,
            security if security != "plain" else "plain text",
            "tokens" if tokens else "no tokens",
            f"{settings.metrics_host}:{self.metrics_port}" if self.metrics_port else "none",
            extra={"address": self.address},
        )
        if security == "plain" and not is_loopback(settings.host):
            _LOG.warning(
                "plain text on %s: anyone on the network path can read and change what is sent%s",
                self.address,
                ", the tokens too" if tokens else "",
            )


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Two servers on one port would share its calls randomly.
        ("grpc.so_reuseport", 0),
        # Detects dead clients, and ends their watching calls.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]
