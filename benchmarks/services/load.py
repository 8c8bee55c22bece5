"""The load: submissions at a fixed rate, watchers, and two probes that are timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ktt.jobs.v1 import jobs_pb2
from ktt.trainer.v1 import trainer_service_pb2_grpc, training_pb2

__all__ = ["Load", "LoadResult"]

_ENDED = (jobs_pb2.JOB_STATE_SUCCEEDED, jobs_pb2.JOB_STATE_FAILED, jobs_pb2.JOB_STATE_CANCELLED)


@dataclass
class LoadResult:
    """What the clients saw.

    Attributes
    ----------
    submitted : list of str
        The ids of the jobs that the server took.
    refused : int
        Submissions it did not take.
    submit_s, get_s, floor_s : list of float
        Seconds of every CreateTrainingJob, GetTrainingJob and empty call.
    watched : dict of str to list of int
        The sequence numbers each watcher saw.
    states : dict of str to int
        Jobs by their final state.
    missing : list of str
        Taken jobs that the list of all jobs does not have.
    """

    submitted: list[str] = field(default_factory=list)
    refused: int = 0
    submit_s: list[float] = field(default_factory=list)
    get_s: list[float] = field(default_factory=list)
    floor_s: list[float] = field(default_factory=list)
    watched: list[list[int]] = field(default_factory=list)
    states: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def broken_watches(self) -> int:
        """Watchers that saw an event twice, missed one, or never saw the end."""
        return sum(seen != list(range(1, len(seen) + 1)) or not seen for seen in self.watched)


class Load:
    """Clients of one trainer, each with a connection of its own.

    Parameters
    ----------
    address : str
    dataset, model : str
        What every submission trains, as a dry run of one pass.
    """

    def __init__(self, address: str, dataset: str, model: str) -> None:
        self.address = address
        self.spec = training_pb2.TrainingSpec(dataset=dataset, model=model, dry_run=True)
        self.spec.hyperparameters.update({"epochs": 1})
        self.result = LoadResult()

    async def run(
        self, *, rate: float, seconds: float, watchers: int, sample: Callable[[], None]
    ) -> LoadResult:
        """Put the load on, cancel what still waits at its end, and count.

        Parameters
        ----------
        rate : float
            Submissions per second.
        seconds : float
        watchers : int
        sample : callable
            Called four times a second.
        """
        async with grpc.aio.insecure_channel(self.address) as channel:
            trainer = trainer_service_pb2_grpc.TrainerServiceStub(channel)
            health = health_pb2_grpc.HealthStub(channel)
            stop = asyncio.Event()
            enough = asyncio.Event()
            watching = [
                asyncio.create_task(self._watch(n, watchers, enough)) for n in range(watchers)
            ]
            probes = [
                asyncio.create_task(
                    self._probe(stop, self.result.get_s, lambda: self._get(trainer))
                ),
                asyncio.create_task(
                    self._probe(
                        stop,
                        self.result.floor_s,
                        lambda: health.Check(health_pb2.HealthCheckRequest()),
                    )
                ),
                asyncio.create_task(_every(0.25, stop, sample)),
            ]
            await self._submit(trainer, rate, seconds, enough)
            stop.set()
            await asyncio.gather(*probes)
            await self._cancel_rest(trainer)
            await asyncio.gather(*watching)
            await self._count(trainer)
        return self.result

    async def _submit(
        self,
        trainer: trainer_service_pb2_grpc.TrainerServiceStub,
        rate: float,
        seconds: float,
        enough: asyncio.Event,
    ) -> None:
        async def one(number: int) -> None:
            request = training_pb2.CreateTrainingJobRequest(
                spec=self.spec, request_id=f"load-{number}"
            )
            start = time.perf_counter()
            try:
                response = await trainer.CreateTrainingJob(request)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                self.result.refused += 1
                return
            self.result.submit_s.append(time.perf_counter() - start)
            self.result.submitted.append(response.training_job.id)
            enough.set()

        # An open loop: a slow answer does not slow the next submission.
        begin, calls = time.perf_counter(), []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
            calls.append(asyncio.create_task(one(number)))
        await asyncio.gather(*calls)

    async def _watch(self, number: int, watchers: int, enough: asyncio.Event) -> None:
        await enough.wait()
        seen: list[int] = []
        self.result.watched.append(seen)
        # Every watcher has a connection of its own; the first ten jobs are watched.
        job = self.result.submitted[min(number * 10 // watchers, len(self.result.submitted) - 1)]
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(self.address, options=options) as channel:
            trainer = trainer_service_pb2_grpc.TrainerServiceStub(channel)
            request = training_pb2.WatchTrainingJobRequest(id=job)
            async for response in trainer.WatchTrainingJob(request):
                seen.append(response.event.sequence)

    async def _get(self, trainer: trainer_service_pb2_grpc.TrainerServiceStub) -> None:
        if self.result.submitted:
            job = self.result.submitted[len(self.result.get_s) * 7919 % len(self.result.submitted)]
            await trainer.GetTrainingJob(training_pb2.GetTrainingJobRequest(id=job))

    async def _probe(
        self, stop: asyncio.Event, seconds: list[float], call: Callable[[], Awaitable[object]]
    ) -> None:
        while not stop.is_set():
            start = time.perf_counter()
            await call()
            seconds.append(time.perf_counter() - start)
            await asyncio.sleep(0.02)

    async def _cancel_rest(self, trainer: trainer_service_pb2_grpc.TrainerServiceStub) -> None:
        for job in reversed(self.result.submitted):
            await trainer.CancelTrainingJob(training_pb2.CancelTrainingJobRequest(id=job))

    async def _count(self, trainer: trainer_service_pb2_grpc.TrainerServiceStub) -> None:
        found: dict[str, int] = {}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = await self._list(trainer)
            if all(state in _ENDED for state in found.values()):
                break
            await asyncio.sleep(0.5)
        self.result.missing = sorted(set(self.result.submitted) - set(found))
        for state in found.values():
            name = jobs_pb2.JobState.Name(state).removeprefix("JOB_STATE_")
            self.result.states[name] = self.result.states.get(name, 0) + 1

    async def _list(self, trainer: trainer_service_pb2_grpc.TrainerServiceStub) -> dict[str, int]:
        found: dict[str, int] = {}
        token = ""
        while True:
            page = await trainer.ListTrainingJobs(
                training_pb2.ListTrainingJobsRequest(page_size=1000, page_token=token)
            )
            found.update({job.id: job.status.state for job in page.training_jobs})
            token = page.next_page_token
            if not token:
                return found


async def _every(interval: float, stop: asyncio.Event, call: Callable[[], None]) -> None:
    while not stop.is_set():
        call()
        await asyncio.sleep(interval)
