"""Jobs are submitted once, followed to their ends, and on an interrupt done with as was wished."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.backend.connection import Connection
from cli.backend.job_group import JobGroup, JobRequest
from cli.backend.protocol import DetachedError
from cli.termination import TerminatedError
from ktt_core.errors import ConflictError, KttError, QueueFullError, UnavailableError
from ktt_core.progress import Progress
from ktt_jobs import Job, JobEvent, JobState

NOW = datetime(2026, 1, 31, tzinfo=UTC)


class Server:
    """Keeps jobs as a service does; jobs succeed when they are watched to the end."""

    def __init__(self, events: int = 4) -> None:
        self.connection = Connection("trainer:1", "exporter:2")
        self.jobs: dict[str, Job] = {}
        self.by_request: dict[str, str] = {}
        self.events = events
        self.before: dict[str, Callable[[Any], None]] = {}

    def _hook(self, name: str, value: Any) -> None:
        if name in self.before:
            self.before[name](value)

    def create(self, spec: Any, request_id: str) -> Job:
        self._hook("create", spec)
        if request_id not in self.by_request:
            job_id = f"job-{len(self.jobs)}"
            self.by_request[request_id] = job_id
            self.jobs[job_id] = Job(job_id, "training", {"spec": spec}, {}, JobState.QUEUED, NOW)
        self._hook("created", spec)
        return self.jobs[self.by_request[request_id]]

    def get(self, job_id: str, patience: float = 0) -> Job:
        return self.jobs[job_id]

    def cancel(self, job_id: str) -> Job:
        self._hook("cancel", job_id)
        if not self.jobs[job_id].state.ended:
            self.jobs[job_id] = replace(self.jobs[job_id], state=JobState.CANCELLED)
        return self.jobs[job_id]

    def watch(self, job_id: str, after: int, watcher: Any) -> Iterator[JobEvent]:
        for number in range(after + 1, self.events + 1):
            self._hook("event", (job_id, number))
            yield JobEvent(number, NOW, progress=Progress("fit", number, self.events))
        if not self.jobs[job_id].state.ended:
            self.jobs[job_id] = replace(self.jobs[job_id], state=JobState.SUCCEEDED)

    def states(self) -> list[str]:
        return [job.state.value for job in self.jobs.values()]


class Watcher:
    """Remembers what it hears and answers as it was told."""

    def __init__(self, *choices: str) -> None:
        self.choices = list(choices)
        self.heard: list[tuple[str, int]] = []
        self.asked: list[list[str]] = []
        self.run = ""

    def begins(self, model: str, dataset: str, index: int = 0, total: int = 1) -> None:
        self.run = f"{model}/{dataset}"

    def progress(self, event: Progress) -> None:
        self.heard.append((self.run, event.step))

    def notice(self, message: str) -> None:
        raise AssertionError(message)

    def ask(self, jobs: Sequence[str]) -> Any:
        self.asked.append(list(jobs))
        return self.choices.pop(0)


def group(server: Server, count: int = 3) -> JobGroup:
    return JobGroup(server, [JobRequest(number, f"m{number}", "d") for number in range(count)])  # type: ignore[arg-type]


def once(error: BaseException, when: Callable[[Any], bool]) -> Callable[[Any], None]:
    left = [error]

    def hook(value: Any) -> None:
        if left and when(value):
            raise left.pop()

    return hook


def test_jobs_are_followed_to_their_ends_in_order() -> None:
    server, watcher = Server(), Watcher()
    ended = group(server).run(watcher)
    assert [job.state for job in ended] == [JobState.SUCCEEDED] * 3
    assert watcher.heard == [(f"m{run}/d", step) for run in range(3) for step in range(1, 5)]


def test_watching_on_after_an_interrupt_misses_and_repeats_nothing() -> None:
    server, watcher = Server(), Watcher("watch")
    server.before["event"] = once(KeyboardInterrupt(), lambda it: it == ("job-1", 3))
    assert len(group(server).run(watcher)) == 3
    assert watcher.asked == [["job-1", "job-2"]]
    assert watcher.heard == [(f"m{run}/d", step) for run in range(3) for step in range(1, 5)]


def test_detaching_leaves_what_has_not_ended_running() -> None:
    server, watcher = Server(), Watcher("detach")
    server.before["event"] = once(KeyboardInterrupt(), lambda it: it == ("job-1", 1))
    with pytest.raises(DetachedError) as caught:
        group(server).run(watcher)
    assert [job.id for job in caught.value.jobs] == ["job-1", "job-2"]
    assert server.states() == ["SUCCEEDED", "QUEUED", "QUEUED"]


def test_cancelling_ends_all_that_has_not_ended() -> None:
    server, watcher = Server(), Watcher("cancel")
    server.before["event"] = once(KeyboardInterrupt(), lambda it: it == ("job-1", 1))
    with pytest.raises(KeyboardInterrupt, match="job-1, job-2"):
        group(server).run(watcher)
    assert server.states() == ["SUCCEEDED", "CANCELLED", "CANCELLED"]


def test_a_termination_signal_asks_nobody() -> None:
    server, watcher = Server(), Watcher()
    server.before["event"] = once(TerminatedError(), lambda it: True)
    with pytest.raises(KeyboardInterrupt):
        group(server).run(watcher)
    assert server.states() == ["CANCELLED"] * 3


@pytest.mark.parametrize("moment", ["create", "created"])
@pytest.mark.parametrize(
    ("choice", "states"),
    [
        ("watch", ["SUCCEEDED"] * 3),
        ("detach", ["QUEUED"] * 3),
        ("cancel", ["CANCELLED"] * 2),
    ],
)
def test_an_interrupt_while_a_job_is_submitted_makes_no_second_one(
    moment: str, choice: str, states: list[str]
) -> None:
    server, watcher = Server(), Watcher(choice)
    server.before[moment] = once(KeyboardInterrupt(), lambda spec: spec == 1)
    try:
        group(server).run(watcher)
    except (DetachedError, KeyboardInterrupt):
        assert choice != "watch"
    assert server.states() == states


def test_an_interrupt_of_a_detached_submission_leaves_nothing() -> None:
    server = Server()
    server.before["created"] = once(KeyboardInterrupt(), lambda spec: spec == 1)
    with pytest.raises(KeyboardInterrupt):
        group(server).submit()
    assert server.states() == ["CANCELLED"] * 2


def test_a_refused_job_takes_those_before_it_along() -> None:
    server = Server()
    server.before["create"] = once(QueueFullError("the queue is full"), lambda spec: spec == 2)
    with pytest.raises(QueueFullError, match="full; the 2 jobs submitted before were cancelled"):
        group(server).submit()
    assert server.states() == ["CANCELLED"] * 2
    first = Server()
    first.before["create"] = once(ConflictError("no"), lambda spec: spec == 0)
    with pytest.raises(ConflictError, match="^no$"):
        group(first).submit()


def test_jobs_that_cannot_be_cancelled_are_named() -> None:
    server = Server()
    server.before["create"] = once(UnavailableError("gone"), lambda spec: spec == 2)
    server.before["cancel"] = once(UnavailableError("gone"), lambda job: job == "job-1")
    with pytest.raises(UnavailableError, match="cancel them by hand: job-1"):
        group(server).submit()


def test_an_interrupt_that_cannot_cancel_says_what_may_go_on() -> None:
    server = Server()
    server.before["event"] = once(TerminatedError(), lambda it: True)
    server.before["cancel"] = once(UnavailableError("gone"), lambda job: job == "job-2")
    with pytest.raises(UnavailableError, match="gone; look .* job-0, job-1, job-2"):
        group(server).run(Watcher())


def test_a_job_that_will_not_stop_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.before["event"] = once(TerminatedError(), lambda it: True)
    monkeypatch.setattr(server, "cancel", lambda job_id: server.jobs[job_id])
    monkeypatch.setattr("cli.backend.job_group.time.sleep", lambda seconds: None)
    clock = itertools.count(0, 20)
    monkeypatch.setattr("cli.backend.job_group.time.monotonic", lambda: next(clock))
    notices: list[str] = []
    watcher = Watcher()
    monkeypatch.setattr(watcher, "notice", notices.append)
    with pytest.raises(KttError, match="has not within 180 s"):
        group(server, 1).run(watcher)
    assert notices == [
        "job job-0 finishes its step and saves its state (again: do not wait for it)"
    ]


def test_a_second_interrupt_does_not_wait_for_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    server.before["event"] = once(TerminatedError(), lambda it: True)
    monkeypatch.setattr(server, "cancel", lambda job_id: server.jobs[job_id])

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.backend.job_group.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt, match="the server was told to cancel: job-0"):
        group(server, 1).run(Watcher())
