import asyncio
import threading

from ktt_rpc import call_state, current_call
from ktt_rpc.shutdown import ShutdownFlag


def test_outside_of_a_call_there_is_none():
    assert (current_call.request_id(), current_call.time_remaining(), current_call.abandoned()) == (
        "",
        None,
        False,
    )
    current_call.note_job("j1")  # has nowhere to go


async def _in_call(state, coroutine):
    token = call_state.enter(state)
    try:
        return await coroutine
    finally:
        call_state.leave(token)


def test_a_thread_knows_the_call_it_works_for():
    state = call_state.CallState("/a/B", "r1", "peer", None, ShutdownFlag())

    def work(suffix):
        current_call.note_job("j1")
        return current_call.request_id() + suffix, threading.current_thread().name

    answer, thread = asyncio.run(_in_call(state, current_call.in_thread(work, "!")))
    assert answer == "r1!"
    assert thread.startswith("ktt-call")
    assert state.job_id == "j1"


def test_what_can_be_no_id_is_not_noted():
    state = call_state.CallState("/a/B", "r1", "peer", None, ShutdownFlag())

    async def note():
        current_call.note_job("../../etc/passwd\n")

    asyncio.run(_in_call(state, note()))
    assert state.job_id == ""


def test_work_that_has_not_begun_never_does_after_a_cancel():
    release = threading.Event()
    begun: list[int] = []

    async def fill():
        running = [asyncio.create_task(current_call.in_thread(release.wait, 10)) for _ in range(16)]
        await asyncio.sleep(0.1)
        late = asyncio.create_task(current_call.in_thread(begun.append, 1))
        await asyncio.sleep(0.05)
        late.cancel()
        await asyncio.sleep(0.05)
        release.set()
        await asyncio.gather(*running, late, return_exceptions=True)
        await current_call.in_thread(lambda: None)

    asyncio.run(fill())
    assert begun == []


def test_calls_that_compute_hold_up_nobody_who_only_asks():
    release = threading.Event()

    async def ask():
        computing = [
            asyncio.create_task(current_call.in_work_thread(release.wait, 20)) for _ in range(50)
        ]
        await asyncio.sleep(0.1)
        try:
            answers = [current_call.in_thread(int), current_call.in_watch_thread(int)]
            return await asyncio.wait_for(asyncio.gather(*answers), 10)
        finally:
            release.set()
            await asyncio.gather(*computing)

    assert asyncio.run(ask()) == [0, 0]


def test_a_call_whose_time_is_over_is_abandoned():
    state = call_state.CallState("/a/B", "r1", "peer", 0.0, ShutdownFlag())

    async def ask():
        return current_call.abandoned(), current_call.time_remaining()

    assert asyncio.run(_in_call(state, ask())) == (True, 0.0)
