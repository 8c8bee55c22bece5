"""The newest events are answered from memory, within bounds, and never wrongly."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from ktt_jobs.event_bus import EventBus
from ktt_jobs.jobs import JobEvent
from ktt_jobs.sample_server import eventually

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def events(first, last):
    return [JobEvent(sequence, NOW) for sequence in range(first, last + 1)]


@given(st.integers(1, 5), st.integers(1, 400), st.integers(0, 450), st.integers(1, 300))
def test_memory_says_what_the_store_would_or_nothing(first, count, after, limit):
    feed = EventBus(lambda job_ids: {})
    last = first + count - 1
    feed.open("job", events(first, first))
    for event in events(first + 1, last):
        feed.add("job", event)
    told = feed.events("job", after, limit)
    kept = max(first, last - 255)
    if after < kept - 1:
        assert told is None
    else:
        assert told == events(1, last)[after : after + limit]


def test_a_job_that_went_elsewhere_is_not_remembered():
    feed = EventBus(lambda job_ids: {})
    assert feed.events("job", 0, 10) is None
    feed.open("job", events(2, 2))
    assert feed.runs("job") and feed.events("job", 1, 10) == events(2, 2)
    feed.close("job", ended=False)
    assert not feed.runs("job") and feed.events("job", 1, 10) is None


def test_few_ended_jobs_are_remembered_and_all_running_ones():
    feed = EventBus(lambda job_ids: {})
    for number in range(200):
        feed.open(str(number), events(1, 2))
        if number >= 100:
            feed.close(str(number), ended=True)
    known = [number for number in range(200) if feed.events(str(number), 0, 9) is not None]
    assert known == [*range(100), *range(136, 200)]
    feed.forget(["199"])
    assert feed.events("199", 0, 9) is None


def test_who_subscribes_hears_of_jobs_of_other_processes_and_of_none_after():
    newest = {"job": 1}
    feed = EventBus(lambda job_ids: {job_id: newest[job_id] for job_id in job_ids})
    calls = []
    end = feed.subscribe("job", lambda: calls.append(1))
    assert eventually(lambda: len(calls) == 1)
    newest["job"] = 2
    assert eventually(lambda: len(calls) == 2)
    end()
    newest["job"] = 3
    assert eventually(lambda: feed._poller is None)
    assert len(calls) == 2
    again = feed.subscribe("job", lambda: calls.append(1))
    assert eventually(lambda: len(calls) == 3)
    again()


def test_a_store_that_cannot_be_read_for_a_while_stops_no_news():
    answers = iter([ValueError("not now")])

    def newest(job_ids):
        for error in answers:
            raise error
        return {"job": 1}

    feed = EventBus(newest)
    calls = []
    end = feed.subscribe("job", lambda: calls.append(1))
    assert eventually(lambda: calls)
    end()
