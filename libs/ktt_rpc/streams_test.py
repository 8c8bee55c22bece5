from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ktt.trainer.v1 import training_pb2 as training
from ktt_core.errors import UnavailableError
from ktt_rpc.conftest import SETTINGS
from ktt_rpc.streams import answer, received

ASK = reflection_pb2.ServerReflectionRequest(list_services="")


def silent(end: threading.Event) -> Iterator[reflection_pb2.ServerReflectionRequest]:
    """Return the requests of a client that asks once and says no more until it is told to end."""
    yield ASK
    end.wait(30)


def test_streams_of_silent_clients_keep_no_call_out_and_end(start_server, connect):
    server = start_server(replace(SETTINGS, max_concurrent_calls=2, idle_timeout=1.0))
    stub = connect(server.address)
    stub.GetTrainingJob(training.GetTrainingJobRequest(id="j1"))
    end = threading.Event()
    with grpc.insecure_channel(server.address) as channel:
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        streams = [ask(silent(end)) for _ in range(2)]
        for stream in streams:
            next(stream)
        # All places of streams are taken, and calls do not need them.
        with pytest.raises(grpc.RpcError) as refused:
            next(ask(silent(end)))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        stub.GetTrainingJob(training.GetTrainingJobRequest(id="j1"))
        for stream in streams:
            with pytest.raises(grpc.RpcError, match="received nothing for 1 s") as ended:
                next(stream)
            assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert next(ask(silent(end))).list_services_response.service
        end.set()


def test_watchers_of_health_need_no_token_and_keep_no_watcher_of_jobs_out(start_server, connect):
    server = start_server(replace(SETTINGS, max_watchers=1))
    with grpc.insecure_channel(server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        next(watch)
        events = connect(server.address).WatchTrainingJob(
            training.WatchTrainingJobRequest(id="j1"), timeout=10
        )
        assert next(events).event.sequence == 1
        watch.cancel()
        events.cancel()


async def _slowly(pause: float, *values: int):
    for value in values:
        await asyncio.sleep(pause)
        yield value


def test_the_servers_own_work_between_two_messages_does_not_count():
    async def consume() -> list[int]:
        found = []
        async for value in received(_slowly(0.01, 1, 2, 3), 0.2):
            time.sleep(0.3)
            found.append(value)
        return found

    assert asyncio.run(consume()) == [1, 2, 3]


def test_an_answer_that_nobody_takes_ends_and_closes_what_it_was_made_from():
    closed = []

    async def behavior(request, context):
        try:
            while True:
                yield b"x"
        finally:
            closed.append(request)

    class Stuck:
        async def write(self, response: bytes) -> None:
            await asyncio.sleep(30)

    with pytest.raises(UnavailableError, match="the client read nothing"):
        asyncio.run(answer(behavior, "request", Stuck(), 0.1))
    assert closed == ["request"]
