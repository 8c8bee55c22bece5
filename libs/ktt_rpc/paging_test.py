import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt.trainer.v1 import evaluation_pb2 as evaluation
from ktt.trainer.v1 import training_pb2 as training
from ktt_core.errors import InvalidArgumentError
from ktt_rpc.paging import next_page_token, page_cursor, page_size

LIST = training.ListTrainingJobsRequest


@settings(deadline=None)
@given(st.text(min_size=1, max_size=200), st.integers(0, 5000), st.integers(0, 5000))
def test_a_cursor_comes_back_whatever_the_page_size(cursor, size, other):
    token = next_page_token(LIST(dataset="a", page_size=size), cursor)
    assert page_cursor(LIST(dataset="a", page_size=other, page_token=token)) == cursor


def test_there_is_no_token_after_the_last_page_and_no_cursor_before_the_first():
    assert next_page_token(LIST(), None) == ""
    assert page_cursor(LIST()) is None


@pytest.mark.parametrize(
    "request_",
    [
        LIST(dataset="b"),
        LIST(),
        LIST(dataset="a", model="m"),
        LIST(dataset="a", states=["JOB_STATE_QUEUED"]),
        evaluation.ListEvaluationJobsRequest(dataset="a"),
    ],
)
def test_a_token_of_other_filters_or_another_call_is_refused(request_):
    request_.page_token = next_page_token(LIST(dataset="a"), "cursor")
    with pytest.raises(InvalidArgumentError, match="other filters") as raised:
        page_cursor(request_)
    assert raised.value.field == "page_token"


@settings(deadline=None)
@given(st.text(min_size=1) | st.binary(min_size=1).map(lambda b: base64.b64encode(b).decode()))
def test_a_token_of_nonsense_is_refused(token):
    with pytest.raises(InvalidArgumentError):
        page_cursor(LIST(page_token=token))


@settings(deadline=None)
@given(st.data())
def test_a_damaged_token_is_refused(data):
    token = next_page_token(LIST(dataset="a"), "2026-01-31T12:34:56/j1")
    at = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("Aa0-_=").filter(lambda letter: letter != token[at]))
    with pytest.raises(InvalidArgumentError):
        page_cursor(LIST(dataset="a", page_token=token[:at] + letter + token[at + 1 :]))
    with pytest.raises(InvalidArgumentError):
        page_cursor(LIST(dataset="a", page_token=token[:at] or "x"))


def test_a_page_has_100_entries_unless_told_and_at_most_1000():
    assert [page_size(LIST(page_size=size)) for size in (0, 1, 1000, 2**31 - 1)] == [
        100,
        1,
        1000,
        1000,
    ]
    with pytest.raises(InvalidArgumentError) as raised:
        page_size(LIST(page_size=-1))
    assert raised.value.field == "page_size"
