"""Requests' bodies: what is asked, or what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ktt_core.preprocessors.cleaning import squash

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_TEXT_BYTES",
    "MAX_TOP_K",
    "Question",
    "RequestError",
    "read_question",
]

#: Of a text, as UTF-8. No model reads as much.
MAX_TEXT_BYTES = 1_000_000
#: Of a body: a text of the largest size, each of whose characters is escaped (``\u0041``).
MAX_BODY_BYTES = 6 * MAX_TEXT_BYTES + 10_000
#: Paths one request may ask for.
MAX_TOP_K = 1000

_DEFAULT_TOP_K = 5


class RequestError(Exception):
    """A request that cannot be answered; the message is for who sent it, and quotes no text.

    Parameters
    ----------
    message : str
    status : int
        Of the answer, 4xx.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Question:
    """What one request asks.

    Attributes
    ----------
    text : str
    top_k : int
        Paths to answer with.
    min_confidence : float
        See `ktt_core.decoding.decode`.
    """

    text: str
    top_k: int = 1
    min_confidence: float = 0.0


def read_question(body: bytes, encoding: str = "", options: bool = False) -> Question:
    """Read a body.

    Parameters
    ----------
    body : bytes
        JSON: ``{"text": "..."}``.
    encoding : str
        The request's ``Content-Encoding``.
    options : bool
        Whether ``top_k`` and ``min_confidence`` may be asked for. If so, other fields are refused,
        because they are misspelt; else they are passed over.

    Raises
    ------
    RequestError
        If it is anything else; the message says what.
    """
    if encoding not in ("", "identity"):
        raise RequestError("send the body as it is: no Content-Encoding is understood", 415)
    if len(body) > MAX_BODY_BYTES:
        raise RequestError(
            f"the body has {len(body):,} bytes; at most {MAX_BODY_BYTES:,} are read", 413
        )
    fields = _object(body)
    question = _text(fields)
    if not options:
        return Question(question)
    for name in fields:
        if name not in ("text", "top_k", "min_confidence"):
            raise RequestError(
                f'there is no field {name[:40]!r}; there are "text", "top_k" and "min_confidence"'
            )
    return Question(question, _top_k(fields), _min_confidence(fields))


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise RequestError("the JSON is nested too deeply") from None
    except UnicodeDecodeError:
        raise RequestError("the body is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise RequestError(
            f'the body is not JSON (line {error.lineno}, column {error.colno}); send {{"text": '
            '"..."}'
        ) from None
    except ValueError:  # a number of thousands of digits, or NaN
        raise RequestError("the body holds a number that is none in JSON, or too long") from None
    if not isinstance(value, dict):
        raise RequestError(f'send an object, {{"text": "..."}}, not {_kind(value)}')
    return value


def _text(fields: Mapping[str, Any]) -> str:
    if "text" not in fields:
        raise RequestError('the field "text" is missing; send {"text": "..."}')
    text = fields["text"]
    if not isinstance(text, str):
        raise RequestError(f'"text" must be a string, not {_kind(text)}')
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise RequestError(
            '"text" is not valid Unicode: it holds half of a surrogate pair'
        ) from None
    if size > MAX_TEXT_BYTES:
        raise RequestError(f'"text" has {size:,} bytes; at most {MAX_TEXT_BYTES:,} are read')
    if not squash(text):
        raise RequestError('"text" is empty')
    return text


def _top_k(fields: Mapping[str, Any]) -> int:
    value = fields.get("top_k", _DEFAULT_TOP_K)
    if type(value) is not int or not 1 <= value <= MAX_TOP_K:
        raise RequestError(f'"top_k" must be a whole number from 1 to {MAX_TOP_K}')
    return value


def _min_confidence(fields: Mapping[str, Any]) -> float:
    value = fields.get("min_confidence", 0.0)
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise RequestError('"min_confidence" must be a number from 0 to 1')
    return float(value)


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a truth value"}
    return "null" if value is None else kinds.get(type(value), "a number")
