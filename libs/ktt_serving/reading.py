"""Parsing and validation of requests' bodies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ktt_core.errors import InvalidArgumentError
from ktt_core.texts import MAX_TEXT_BYTES, check_text

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_PATHS",
    "MAX_TEXTS",
    "MAX_TEXTS_BYTES",
    "MAX_TEXT_BYTES",
    "MAX_TOP_K",
    "Question",
    "RequestError",
    "read_question",
]

#: Maximum size of a body: a text of the maximum size with all characters escaped (``\u0041``).
MAX_BODY_BYTES = 6 * MAX_TEXT_BYTES + 10_000
#: Limits of a request: number of texts, their total size, and the total number of paths.
MAX_TEXTS, MAX_TEXTS_BYTES, MAX_PATHS = 1000, 2_000_000, 50_000
#: Maximum number of paths per text.
MAX_TOP_K = 1000

_DEFAULT_TOP_K = 5
_ALONE = ("text",)
_WITH_OPTIONS = ("text", "texts", "top_k", "min_confidence")


class RequestError(Exception):
    """An invalid request; the message is for its client, and does not quote texts.

    Parameters
    ----------
    message : str
    status : int
        HTTP status of the answer, 4xx.
    text : int, optional
        Index of the text that it is about.
    """

    def __init__(self, message: str, status: int = 400, text: int | None = None) -> None:
        super().__init__(message)
        self.status, self.text = status, text


@dataclass(frozen=True)
class Question:
    """The content of a request.

    Attributes
    ----------
    texts : tuple of str
    top_k : int
        Paths to answer each text with.
    min_confidence : float
        See `ktt_core.decoding.decode`.
    is_list : bool
        Whether the texts were sent as a list, so that the answer is a list even for one text.
    """

    texts: tuple[str, ...]
    top_k: int = 1
    min_confidence: float = 0.0
    is_list: bool = False


def read_question(body: bytes, encoding: str = "", options: bool = False) -> Question:
    """Parse a body.

    Parameters
    ----------
    body : bytes
        JSON: ``{"text": "..."}``. Unknown fields are refused, since they are probably misspelt.
    encoding : str
        The request's ``Content-Encoding``.
    options : bool
        Whether ``top_k`` and ``min_confidence`` may be asked for, and ``texts``, a list, be sent
        instead of ``text``.

    Raises
    ------
    RequestError
        If it is invalid; the message says why.
    """
    if encoding not in ("", "identity"):
        raise RequestError("send the body as it is: no Content-Encoding is understood", 415)
    if len(body) > MAX_BODY_BYTES:
        raise RequestError(
            f"the body has {len(body):,} bytes; at most {MAX_BODY_BYTES:,} are read", 413
        )
    fields = _object(body)
    _check_names(fields, options)
    texts: tuple[str, ...]
    if "texts" not in fields:
        texts = (_text(fields),)
    elif "text" in fields:
        raise RequestError('send "text" or "texts", not both')
    else:
        texts = _texts(fields["texts"])
    if not options:
        return Question(texts)
    question = Question(texts, _top_k(fields), _min_confidence(fields), "texts" in fields)
    if question.is_list and len(texts) * question.top_k > MAX_PATHS:
        raise RequestError(
            f'{len(texts):,} texts with a "top_k" of {question.top_k:,} are more than '
            f"{MAX_PATHS:,} paths; ask for fewer at a time"
        )
    return question


def _check_names(fields: Mapping[str, Any], options: bool) -> None:
    known = _WITH_OPTIONS if options else _ALONE
    for name in fields:
        if name in known:
            continue
        if name in _WITH_OPTIONS:
            raise RequestError(f'there is no field "{name}" here; /predict_proba takes it')
        quoted = [f'"{one}"' for one in known]
        there_are = f"there are {', '.join(quoted[:-1])} and" if options else "there is"
        raise RequestError(f"there is no field {name[:40]!r}; {there_are} {quoted[-1]}")


def _object(body: bytes) -> Mapping[str, Any]:
    if not body:
        raise RequestError('the body is empty, and so not JSON; send {"text": "..."} by POST')
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
        raise RequestError(
            "the body holds a number that is not valid in JSON, or too long"
        ) from None
    if not isinstance(value, dict):
        raise RequestError(f'send an object, {{"text": "..."}}, not {_kind(value)}')
    return value


def _text(fields: Mapping[str, Any]) -> str:
    if "text" not in fields:
        raise RequestError('the field "text" is missing; send {"text": "..."}')
    text = fields["text"]
    _size(text, '"text"')
    return str(text)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise RequestError(f'"texts" must be a list of strings, not {_kind(value)}')
    if not 1 <= len(value) <= MAX_TEXTS:
        raise RequestError(f'"texts" has {len(value):,} texts; it may have 1 to {MAX_TEXTS:,}')
    total = sum(_size(text, f'"texts"[{place}]', place) for place, text in enumerate(value))
    if total > MAX_TEXTS_BYTES:
        raise RequestError(
            f'"texts" has {total:,} bytes; at most {MAX_TEXTS_BYTES:,} are read at a time'
        )
    return tuple(value)


def _size(text: Any, name: str, place: int | None = None) -> int:
    """Return the size of a valid text in bytes."""
    if not isinstance(text, str):
        raise RequestError(f"{name} must be a string, not {_kind(text)}", text=place)
    try:
        return check_text(text, name)
    except InvalidArgumentError as error:
        raise RequestError(str(error), text=place) from None


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
