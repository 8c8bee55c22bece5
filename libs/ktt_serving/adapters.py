"""BentoML adapters for requests and answers, which are independent and never logged.

BentoML passes each task and each result to its prediction log, with texts. Those of this module
expose only the request's id.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import bentoml
from bentoml.adapters.base_input import BaseInputAdapter, parse_cli_input
from bentoml.adapters.base_output import BaseOutputAdapter
from bentoml.types import HTTPRequest, HTTPResponse, InferenceError, InferenceResult, InferenceTask

from ktt_serving import metrics
from ktt_serving.reading import MAX_TEXTS, Question, RequestError, read_question

__all__ = ["MAX_WAIT_MS", "JsonAnswers", "TextRequests", "TextTask", "text_api"]

#: For an API's ``mb_max_latency``, the maximum time of a batch. BentoML's own batching also refuses
#: requests (429) that it expects to wait longer, and at first it expects two seconds per request:
#: with its default of 20 s it refused all but nine of the first concurrent requests.
MAX_WAIT_MS = 600_000

_JSON = (("Content-Type", "application/json"),)


def _error_body(message: str, text: int | None) -> str:
    fields = {"error": message} | ({"text": text} if text is not None else {})
    return json.dumps(fields, ensure_ascii=False)


@dataclass
class TextTask(InferenceTask):
    """One request.

    Attributes
    ----------
    started : float
        Time of arrival, by `time.perf_counter`.
    """

    started: float = field(default_factory=time.perf_counter)

    def discard(self, err_msg: str = "", text: int | None = None, **context: Any) -> TextTask:
        """Answer with an error instead; the rest of the batch is not affected.

        Parameters
        ----------
        err_msg : str
        text : int, optional
            Index of the text in the request's list.
        **context
            ``http_status``.
        """
        self.is_discarded = True
        body = _error_body(err_msg, text)
        self.error = _RefusedError(
            err_msg=body, http_headers=_JSON, started=self.started, **context
        )
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the loggable part."""
        return {"task_id": self.task_id}


@dataclass
class _Answer(InferenceResult):
    started: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {"http_status": self.http_status}


@dataclass
class _RefusedError(InferenceError):
    started: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {"http_status": self.http_status}


class TextRequests(BaseInputAdapter):
    """Reads JSON requests; the API's function gets a list of `Question`.

    An invalid request gets its own error, and is not passed to the function.

    Parameters
    ----------
    options : bool
        See `ktt_serving.reading.read_question`.
    """

    HTTP_METHODS = ["POST"]
    BATCH_MODE_SUPPORTED = True
    SINGLE_MODE_SUPPORTED = False

    def __init__(self, options: bool = False) -> None:
        example = {"text": "A text to classify"}
        # Stored with the API's description, which the batching process reads.
        lists = {"lists": True} if options else {}
        super().__init__(example | {"top_k": 5} if options else example, **lists)
        self.options = options

    @property
    def request_schema(self) -> dict[str, Any]:
        """The body's OpenAPI schema."""
        properties: dict[str, Any] = {"text": {"type": "string", "minLength": 1}}
        if self.options:
            properties["top_k"] = {"type": "integer", "minimum": 1, "default": 5}
            properties["min_confidence"] = {
                "type": "number", "minimum": 0, "maximum": 1, "default": 0
            }  # fmt: skip
        schema: dict[str, Any] = {
            "type": "object", "required": ["text"], "properties": properties
        }  # fmt: skip
        if self.options:
            lists = {"type": "array", "items": properties["text"], "minItems": 1}
            several = {"texts": {**lists, "maxItems": MAX_TEXTS}, **properties}
            del several["text"]
            schema = {
                "oneOf": [schema, {"type": "object", "required": ["texts"], "properties": several}]
            }
        return {"application/json": {"schema": schema}}

    def from_http_request(self, req: HTTPRequest) -> TextTask:
        """Return the request's task, discarded if the request is invalid."""
        return self._task(req.body or b"", str(req.headers.get("content-encoding", "")))

    def from_cli(self, cli_args: tuple[str, ...]) -> Iterator[TextTask]:
        """Yield the tasks of ``bentoml run``."""
        for source in parse_cli_input(cli_args):
            task = self._task(source.read())
            task.cli_args = cli_args
            yield task

    def extract_user_func_args(self, tasks: Iterable[TextTask]) -> tuple[list[Question]]:
        """Return the function's one argument."""
        return ([task.data for task in tasks if not task.is_discarded],)

    def _task(self, body: bytes, encoding: str = "") -> TextTask:
        task = TextTask()
        try:
            task.data = read_question(body, encoding.strip().lower(), self.options)
        except RequestError as error:
            task.discard(str(error), error.text, http_status=error.status)
        return task


class JsonAnswers(BaseOutputAdapter):
    """Sends the JSON strings of the API's function, one per request, and counts answers."""

    def __init__(self) -> None:
        super().__init__()
        #: The API's name; set by the service.
        self.endpoint = ""

    def pack_user_func_return_value(
        self, return_result: Sequence[str], tasks: Sequence[TextTask]
    ) -> list[InferenceResult]:
        """Return the results of tasks."""
        return [
            _Answer(data=body, http_status=200, http_headers=_JSON, started=task.started)
            for body, task in zip(return_result, tasks, strict=True)
        ]

    def to_http_response(self, result: InferenceResult) -> HTTPResponse:
        """Return the response of a result."""
        started = getattr(result, "started", None)
        metrics.count_answer(self.endpoint, result.http_status, started)
        return HTTPResponse.new(
            status=result.http_status,
            headers=result.http_headers,
            body=(result.err_msg or result.data).encode(),
        )

    def to_cli(self, results: Iterable[InferenceResult]) -> int:
        """Print results; returns the exit code."""
        failed = False
        for result in results:
            print(result.err_msg or result.data)
            failed |= bool(result.err_msg)
        return int(failed)


def text_api(max_batch_size: int, options: bool = False) -> Callable[[Any], Any]:
    """Return a decorator that turns a service's method into a batched API: texts in, JSON out.

    Parameters
    ----------
    max_batch_size : int
        Texts of a call.
    options : bool
        See `TextRequests`.
    """
    return bentoml.api(  # type: ignore[no-any-return]
        input=TextRequests(options),
        output=JsonAnswers(),
        batch=True,
        mb_max_batch_size=max_batch_size,
        mb_max_latency=MAX_WAIT_MS,
    )
