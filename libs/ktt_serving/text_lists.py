"""Requests with lists of texts: split into parts for batches, and joined answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate

from aiohttp.web import Response
from bentoml.types import HTTPRequest

from ktt_serving.reading import Question, RequestError, read_question

__all__ = ["TextList", "cut_list", "list_answer", "row_id"]

_BEGIN, _BETWEEN, _END = '{"answers": [', ", ", "]}"
_LENGTH = "content-length"


def row_id(request_id: str, place: int) -> str:
    """Return the id of one text of a list, for later labels."""
    return f"{request_id}-{place}"


def list_answer(request_id: str, answers: Sequence[str]) -> str:
    """Return the JSON answer of a list from the JSON objects of its texts."""
    rows = (
        f'{{"id": {json.dumps(row_id(request_id, place))}, {answer[1:]}'
        for place, answer in enumerate(answers)
    )
    return _BEGIN + _BETWEEN.join(rows) + _END


def cut_list(request: HTTPRequest) -> TextList | None:
    """Return a request in divisible form; None if it has one text or is invalid.

    Those are processed undivided.
    """
    body = request.body or b""
    # Cheap check: most requests have one text, and are not parsed twice.
    if b"texts" not in body and b"\\u" not in body:
        return None
    try:
        encoding = str(request.headers.get("content-encoding", ""))
        question = read_question(body, encoding.strip().lower(), options=True)
    except RequestError:
        return None
    if not question.is_list or len(question.texts) == 1:
        return None
    headers = tuple(pair for pair in request.headers.items() if pair[0].lower() != _LENGTH)
    return TextList(question, headers)


class TextList:
    """A request of many texts (a `ktt_serving.dispatcher.Divided`).

    Parameters
    ----------
    question : Question
    headers : tuple of (str, str)
        The request's headers, which each part has, too.
    """

    def __init__(self, question: Question, headers: tuple[tuple[str, str], ...]) -> None:
        self._question, self._headers = question, headers
        self._sizes = [len(text.encode()) for text in question.texts]
        self.largest = max(self._sizes)
        self._starts: list[int] = []
        self._sent = 0
        self._answers: dict[int, Response] = {}

    def __len__(self) -> int:
        return len(self._question.texts) - self._sent

    def part(self, count: int, size: int) -> HTTPRequest:
        """Return a request for the next texts: at least one, at most `count` and `size` bytes."""
        self._starts.append(self._sent)
        ends = accumulate(self._sizes[self._sent : self._sent + count])
        taken = max(1, sum(end <= size for end in ends))
        texts = self._question.texts[self._sent : self._sent + taken]
        self._sent += len(texts)
        fields = {
            "texts": texts,
            "top_k": self._question.top_k,
            "min_confidence": self._question.min_confidence,
        }
        return HTTPRequest(self._headers, json.dumps(fields, ensure_ascii=False).encode())

    def add(self, number: int, answer: Response) -> Response | None:
        """Add the answer of a part; return the whole answer once it is complete.

        The first part that fails determines the whole answer.
        """
        if answer.status != 200:
            return self._failed(number, answer)
        self._answers[number] = answer
        if len(self) or len(self._answers) < len(self._starts):
            return None
        parts = [_text(self._answers[number]) for number in range(len(self._starts))]
        inside = _BETWEEN.join(part[len(_BEGIN) : -len(_END)] for part in parts)
        return _response(200, f"{_BEGIN}{inside}{_END}", self._answers[0].headers)

    def _failed(self, number: int, answer: Response) -> Response:
        text = _text(answer)
        try:
            error = json.loads(text)
            error["text"] += self._starts[number]
        except (KeyError, TypeError, ValueError):
            return answer  # it is not about one text
        return _response(answer.status, json.dumps(error, ensure_ascii=False), answer.headers)


def _text(answer: Response) -> str:
    return bytes(answer.body or b"").decode()  # type: ignore[arg-type]


def _response(status: int, text: str, headers: Mapping[str, str]) -> Response:
    kept = {name: value for name, value in headers.items() if name.lower() != _LENGTH}
    return Response(status=status, body=text.encode(), headers=kept)
