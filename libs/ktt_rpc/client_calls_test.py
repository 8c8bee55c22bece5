import threading
import time
from dataclasses import replace

import grpc
import pytest

from ktt.trainer.v1 import training_pb2 as training
from ktt_core.errors import InvalidArgumentError, NotFoundError, UnavailableError
from ktt_core.progress import Progress
from ktt_jobs import JobEvent, JobState
from ktt_rpc import client_calls
from ktt_rpc.conftest import NOW, SETTINGS, MemoryJobs

GET = training.GetTrainingJobRequest(id="j1")


def watching(stub, job_id="j1"):
    return lambda after: stub.WatchTrainingJob(
        training.WatchTrainingJobRequest(id=job_id, after_event=after)
    )


def wait_for(condition, seconds=20.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


class Listener(threading.Thread):
    """Watches in a thread and keeps what came."""

    def __init__(self, start, **options):
        super().__init__(daemon=True)
        self.numbers: list[int] = []
        self.lost: list[tuple[Exception, float]] = []
        self.error: Exception | None = None
        self._start, self._options = start, options
        self.start()

    def run(self):
        try:
            for response in client_calls.watch_reconnecting(
                self._start, on_lost=lambda *what: self.lost.append(what), **self._options
            ):
                self.numbers.append(response.event.sequence)
        except Exception as error:
            self.error = error


def test_watching_gives_all_events_and_ends_with_the_job(start_server, connect):
    server = start_server()
    listener = Listener(watching(connect(server.address)))
    wait_for(lambda: listener.numbers == [1])
    server.jobs.add(state=JobState.RUNNING)
    server.jobs.add(step=1)
    wait_for(lambda: listener.numbers == [1, 2, 3])
    server.jobs.add(state=JobState.SUCCEEDED)
    listener.join(20)
    assert listener.numbers == [1, 2, 3, 4]
    assert (listener.error, listener.lost) == (None, [])
    wait_for(lambda: not server.jobs.subscribers)


def test_a_late_watcher_is_given_what_it_has_not(start_server, connect):
    server = start_server()
    for step in range(600):
        server.jobs.add(step=step)
    server.jobs.add(state=JobState.FAILED)
    start = watching(connect(server.address))
    assert [r.event.sequence for r in start(0)] == list(range(1, 603))
    assert [r.event.sequence for r in start(600)] == [601, 602]
    assert list(start(602)) == []


@pytest.mark.parametrize("after", [-1, 2, 10**9])
def test_an_event_that_has_not_been_cannot_be_watched_after(start_server, connect, after):
    stub = connect(start_server().address)
    with pytest.raises(InvalidArgumentError) as raised:
        list(client_calls.watch_reconnecting(watching(stub), after))
    assert raised.value.field == "after_event"


def test_a_job_that_is_not_is_told_at_once(start_server, connect):
    stub = connect(start_server().address)
    with pytest.raises(NotFoundError):
        list(client_calls.watch_reconnecting(watching(stub, "other")))


def test_a_restart_of_the_server_loses_and_repeats_no_event(start_server, connect):
    jobs = MemoryJobs()
    server = start_server(jobs=jobs)
    port = int(server.address.rpartition(":")[2])
    listener = Listener(watching(connect(server.address)), patience=30)
    total = 0
    for _ in range(3):
        wait_for(lambda: len(jobs.recorded) == len(listener.numbers))
        server.stop()
        for step in range(40):
            jobs.add(step=step)
        server = start_server(replace(SETTINGS, port=port), jobs)
        for step in range(40):
            jobs.add(step=step)
            total += 1
            time.sleep(0.001)
    jobs.add(state=JobState.SUCCEEDED)
    listener.join(30)
    assert listener.error is None
    assert listener.numbers == list(range(1, len(jobs.recorded) + 1))
    assert len(listener.lost) >= 3


def test_a_server_that_does_not_come_back_is_given_up(start_server, connect):
    server = start_server()
    listener = Listener(watching(connect(server.address)), patience=1)
    wait_for(lambda: listener.numbers == [1])
    server.stop()
    listener.join(20)
    assert isinstance(listener.error, UnavailableError)
    assert listener.lost


def test_a_quiet_connection_is_contact(start_server, connect):
    jobs = MemoryJobs()
    server = start_server(jobs=jobs)
    port = int(server.address.rpartition(":")[2])
    listener = Listener(watching(connect(server.address)), after=1, patience=3)
    wait_for(lambda: server.running.watchers == 1)
    time.sleep(3.5)  # longer than its patience, without one event
    server.stop()
    start_server(replace(SETTINGS, port=port), jobs)
    jobs.add(state=JobState.SUCCEEDED)
    listener.join(20)
    assert (listener.error, listener.numbers) == (None, [2])


def test_a_stream_that_leaves_events_out_or_repeats_them_is_mended():
    def event(number):
        response = training.WatchTrainingJobResponse()
        response.event.sequence = number
        return response

    streams = [[1, 2, 4], [2, 3, 4, 5]]
    begun: list[int] = []

    def start(after):
        begun.append(after)
        return map(event, streams.pop(0))

    got = [response.event.sequence for response in client_calls.watch_reconnecting(start)]
    assert got == [1, 2, 3, 4, 5]
    assert begun == [0, 2]


def test_a_client_that_vanishes_lets_its_watcher_go(start_server, connect):
    server = start_server()
    stream = watching(connect(server.address))(0)
    next(stream)
    wait_for(lambda: server.running.watchers == 1 and server.jobs.subscribers)
    stream.cancel()
    wait_for(lambda: server.running.watchers == 0 and not server.jobs.subscribers)


def test_a_consumer_that_stops_lets_its_watcher_go(start_server, connect):
    server = start_server()
    responses = client_calls.watch_reconnecting(watching(connect(server.address)))
    next(responses)
    responses.close()
    wait_for(lambda: server.running.watchers == 0)


def test_watchers_beyond_the_places_are_refused(start_server, connect):
    server = start_server(replace(SETTINGS, max_watchers=2))
    stub = connect(server.address)
    held = [watching(stub)(0) for _ in range(2)]
    for stream in held:
        next(stream)
    with pytest.raises(grpc.RpcError) as raised:
        next(watching(stub)(0))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    # Calls have places of their own.
    assert stub.GetTrainingJob(GET).training_job.id == "j1"
    for stream in held:
        stream.cancel()


def test_a_watcher_that_reads_nothing_does_not_fill_the_server(start_server, connect):
    server = start_server()
    stream = watching(connect(server.address))(0)
    next(stream)
    text = "x" * 2000
    for number in range(2, 5_001):
        server.jobs.recorded.append(JobEvent(number, NOW, None, Progress("fit", unit=text)))
    server.jobs.add(state=JobState.SUCCEEDED)
    time.sleep(0.5)
    assert server.running.watchers == 1  # still at it: it waits for its reader
    assert sum(1 for _ in stream) == 5_000


def test_a_call_waits_for_a_server_that_is_about_to_come(start_server, connect):
    server = start_server()
    port = int(server.address.rpartition(":")[2])
    stub = connect(server.address)
    server.stop()
    timer = threading.Timer(1.0, start_server, (replace(SETTINGS, port=port),))
    timer.start()
    assert client_calls.call(stub.GetTrainingJob, GET, patience=10).training_job.id == "j1"
    timer.join()


def test_what_is_not_safe_to_repeat_is_not_repeated():
    tries: list[int] = []

    class Lost(grpc.RpcError):
        def code(self):
            return grpc.StatusCode.UNAVAILABLE

        def details(self):
            return "Socket closed"

    def method(request, timeout):
        tries.append(1)
        raise Lost

    with pytest.raises(UnavailableError):
        client_calls.call(method, GET, idempotent=False, patience=5)
    assert len(tries) == 1
    with pytest.raises(UnavailableError):
        client_calls.call(method, GET, patience=0.5)
    assert len(tries) > 2
