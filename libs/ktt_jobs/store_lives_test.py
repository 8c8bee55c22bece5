"""Whatever is done to jobs, states and events stay together."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ktt_core.errors import (
    NotFoundError,
)
from ktt_core.progress import Progress
from ktt_jobs import queries
from ktt_jobs.jobs import JobState
from ktt_jobs.locks import new_job_id
from ktt_jobs.store import JobStore, NewJob

QUEUED, RUNNING = JobState.QUEUED, JobState.RUNNING


def new(kind="training", spec='{"a":1}', labels="{}", request_id=""):
    return NewJob(new_job_id(), kind, spec, labels, request_id)


_numbers = count()


class Lives(RuleBasedStateMachine):
    """Whatever is done to jobs, each one's events tell its life from its first moment on."""

    jobs = Bundle("jobs")
    folder: Path

    def __init__(self):
        super().__init__()
        self.store = JobStore(self.folder / str(next(_numbers)) / "jobs.sqlite")
        self.states: dict[str, JobState] = {}
        self.lengths: dict[str, int] = {}
        self.gone: set[str] = set()
        self.unwanted: set[str] = set()

    def teardown(self):
        self.store.close()

    def _expect(self, job, event, state):
        if event is not None:
            self.states[job] = state
            self.lengths[job] += 1
            assert event.sequence == self.lengths[job]

    def _is_gone(self, job):
        if job in self.gone:
            with pytest.raises(NotFoundError):
                self.store.begin(job)
        return job in self.gone

    @rule(target=jobs, begin=st.booleans())
    def create(self, begin):
        job, events, _ = self.store.create(new(), 1000, begin=begin)
        self.states[job] = RUNNING if begin else QUEUED
        self.lengths[job] = 1 + begin
        assert [event.sequence for event in events] == [*range(1, 2 + begin)]
        return job

    @rule(job=jobs)
    def begin(self, job):
        if self._is_gone(job):
            return
        event = self.store.begin(job)
        assert (event is not None) == (self.states[job] is QUEUED)
        self._expect(job, event, RUNNING)

    @rule(job=jobs)
    def get_on(self, job):
        if self._is_gone(job):
            return
        event = self.store.add_progress(job, Progress("fit"), None)
        assert (event is not None) == (self.states[job] is RUNNING)
        self._expect(job, event, RUNNING)

    @rule(job=jobs, crashed=st.booleans())
    def requeue(self, job, crashed):
        if self._is_gone(job):
            return
        event = self.store.requeue(job, crashed=crashed)
        assert (event is not None) == (self.states[job] is RUNNING)
        self._expect(job, event, JobState.CANCELLED if job in self.unwanted else QUEUED)

    @rule(job=jobs, state=st.sampled_from([s for s in JobState if s.ended]))
    def end(self, job, state):
        if self._is_gone(job):
            return
        event = self.store.end(job, state)
        assert (event is not None) == (self.states[job] is RUNNING)
        self._expect(job, event, state)

    @rule(job=jobs)
    def cancel(self, job):
        if self._is_gone(job):
            return
        event = self.store.cancel(job)
        assert (event is not None) == (self.states[job] is QUEUED)
        if self.states[job] is RUNNING:
            self.unwanted.add(job)
        self._expect(job, event, JobState.CANCELLED)

    @rule()
    def prune(self):
        ended = {name for name, state in self.states.items() if state.ended} - self.gone
        assert set(self.store.prune(1 << 62, limit=1000)) == ended
        self.gone |= ended

    @rule()
    def open_again(self):
        self.store.close()

    @invariant()
    def the_store_says_the_same(self):
        stored = {job.id: job for job in queries.page(self.store, [], [], {}, 1000, None)[0]}
        assert set(stored) == set(self.states) - self.gone
        for name in stored:
            state = self.states[name]
            job = stored[name]
            events = queries.read_events(self.store, name, 0, 1000)
            assert (job.state, job.last_event) == (state, self.lengths[name])
            assert [event.sequence for event in events] == [*range(1, self.lengths[name] + 1)]
            assert [event.state for event in events if event.state][-1] is state


def test_any_sequence_of_changes_keeps_lives_and_events_together(tmp_path):
    Lives.folder = tmp_path
    run_state_machine_as_test(
        Lives, settings=settings(max_examples=15, stateful_step_count=20, deadline=None)
    )
