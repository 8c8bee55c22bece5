"""A list of texts, cut into parts and answered as one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp.web import Response
from bentoml.types import HTTPRequest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_serving.reading import read_question
from ktt_serving.text_lists import cut_list, list_answer, row_id


def request(body: Any, *headers: tuple[str, str]) -> HTTPRequest:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HTTPRequest((("Content-Length", str(len(content))), *headers), content)


def answered(part: HTTPRequest, request_id: str) -> Response:
    """Answer each text of a part with its own length."""
    texts = read_question(part.body, options=True).texts
    answers = [json.dumps({"predictions": len(text)}) for text in texts]
    body = list_answer(request_id, answers).encode()
    return Response(body=body, headers={"X-Request-Id": request_id})


@settings(deadline=None)
@given(
    texts=st.lists(st.text(min_size=1).map("a".__add__), min_size=2, max_size=40),
    sizes=st.lists(st.integers(1, 9), min_size=40, max_size=40),
    order=st.randoms(use_true_random=False),
)
def test_parts_answer_as_the_whole_would(texts: list[str], sizes: list[int], order: Any) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    cut = cut_list(request({"texts": texts, "top_k": 3, "min_confidence": 0.5}))
    assert cut is not None and len(cut) == len(texts)
    parts: list[HTTPRequest] = []
    while len(cut):
        parts.append(cut.part(sizes[len(parts)], 1000))
    questions = [read_question(part.body, options=True) for part in parts]
    assert {(question.top_k, question.min_confidence) for question in questions} == {(3, 0.5)}
    assert [text for question in questions for text in question.texts] == texts
    # They end in any order.
    numbers = list(range(len(parts)))
    order.shuffle(numbers)
    found = [cut.add(number, answered(parts[number], f"id{number}")) for number in numbers]
    assert found[:-1] == [None] * (len(parts) - 1)
    whole: Any = found[-1]
    assert whole.status == 200
    answers = json.loads(whole.body)["answers"]
    assert [answer["predictions"] for answer in answers] == [len(text) for text in texts]
    assert len({answer["id"] for answer in answers}) == len(texts)
    assert answers[0]["id"] == row_id("id0", 0)
    assert whole.headers["X-Request-Id"] == "id0"


@pytest.mark.parametrize(
    "body",
    [
        {"text": "texts"},
        {"texts": ["one"]},
        {"texts": []},
        {"texts": ["a", 1]},
        {"texts": ["a", "b"], "top_k": 0},
        {"texts": ["a", "b"], "text": "c"},
        {"text": "a", "texts": None},
        [["texts"]],
        b"texts",
        b"",
        b"[" * 100_000 + b"texts",
    ],
)
def test_one_text_and_what_is_wrong_are_left_as_they_are(body: Any) -> None:
    assert cut_list(request(body)) is None


def test_what_is_compressed_is_left_as_it_is() -> None:
    body = {"texts": ["a", "b"]}
    assert cut_list(request(body, ("content-encoding", "gzip"))) is None
    assert cut_list(request(body, ("Content-Encoding", "identity"))) is not None


def test_a_name_in_escapes_is_a_list_too() -> None:
    assert cut_list(request(b'{"\\u0074exts": ["a", "b"]}')) is not None


def test_a_part_has_no_more_bytes_than_it_may_but_always_a_text() -> None:
    cut = cut_list(request({"texts": ["aaaa", "ßß", "b", "ccccccc", "d"]}))
    assert cut is not None and cut.largest == 7
    parts = []
    while len(cut):
        parts.append(read_question(cut.part(2, 5).body, options=True).texts)
    assert parts == [("aaaa",), ("ßß", "b"), ("ccccccc",), ("d",)]


def test_an_error_names_the_text_of_the_whole_list() -> None:
    cut = cut_list(request({"texts": ["a"] * 9}))
    assert cut is not None
    cut.part(4, 1000), cut.part(4, 1000)
    headers = {"Content-Type": "application/json"}
    failed: Any = cut.add(
        1, Response(status=500, body=b'{"error": "e", "text": 2}', headers=headers)
    )
    assert (failed.status, json.loads(failed.body)) == (500, {"error": "e", "text": 6})
    assert failed.content_type == "application/json"
    for body in (b'{"error": "e"}', b"Service Unavailable", b"", b"[]"):
        failed = cut.add(1, Response(status=503, body=body))
        assert (failed.status, failed.body) == (503, body)
