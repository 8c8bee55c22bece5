"""The bodies of requests: rows and labels, validated as a whole before any is added."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .errors import RequestError
from .layout import LabelKind, Layout

__all__ = ["Feedback", "Rows", "parse_feedback", "parse_rows"]

LONGEST_ID = 200
_MOST_SHOWN = 80


@dataclass(frozen=True)
class Rows:
    """Rows of a request.

    Parameters
    ----------
    records : ndarray of the layout's dtype, shape (n,)
    ids : list of str or None, length n
    """

    records: NDArray
    ids: list[str | None]


@dataclass(frozen=True)
class Feedback:
    """Labels of a request, by the id of their row."""

    ids: list[str]
    labels: list[float]


def parse_rows(body: bytes, layout: Layout) -> Rows:
    """Read the body of ``POST /iterate``.

    Raises
    ------
    RequestError
        If any part of it is invalid.
    """
    document = _object(body, ("data", "ids"), "data")
    data = document["data"]
    if not isinstance(data, list) or not data:
        _refuse("`data` must be a list of at least one row", "shape")
    n_rows, width = len(data), layout.width
    for row, cells in enumerate(data):
        if not isinstance(cells, list):
            _refuse(f"data[{row}] is not a list of cells", "shape", n_rows)
        if len(cells) != width:
            _refuse(f"data[{row}] has {len(cells)} cells; {width} are needed", "width", n_rows)
    ids = _row_ids(document.get("ids"), n_rows)
    labels = [
        _cell_label(cells[0], f"data[{row}][0]", layout, n_rows) for row, cells in enumerate(data)
    ]
    numbers = _numbers(data, width - 1)
    wrong = layout.out_of_range(numbers)
    if len(wrong):
        row, place = wrong[0]
        _refuse(
            f"data[{row}][{place + 1}], a score, is {numbers[row, place]:g}; those of the "
            "reference are probabilities, from 0 to 1",
            "value",
            n_rows,
        )
    return Rows(layout.records(numbers, labels), ids)


def parse_feedback(body: bytes, layout: Layout) -> Feedback:
    """Read the body of ``POST /feedback``.

    Raises
    ------
    RequestError
        If any part of it is invalid.
    """
    if layout.label_kind is LabelKind.NONE or layout.truth is not None:
        _refuse("no configured monitor needs labels", "label")
    items = _object(body, ("feedback",), "feedback")["feedback"]
    if not isinstance(items, list) or not items:
        _refuse('`feedback` must be a list of at least one {"id": ..., "label": ...}', "shape")
    ids, labels = [], []
    for place, item in enumerate(items):
        where = f"feedback[{place}]"
        if not isinstance(item, dict) or set(item) != {"id", "label"}:
            _refuse(f"{where} must be an object of `id` and `label`", "shape", len(items))
        ids.append(_id(item["id"], f"{where}.id", len(items)))
        label = _label(_joined(item["label"]), f"{where}.label", layout, len(items))
        if math.isnan(label):
            _refuse(f"{where}.label is missing", "label", len(items))
        labels.append(label)
    return Feedback(ids, labels)


def _refuse(message: str, reason: str, rows: int = 1) -> NoReturn:
    raise RequestError(message, reason=reason, rows=rows)


def _object(body: bytes, known: tuple[str, ...], needed: str) -> dict[str, Any]:
    try:
        document = json.loads(body, parse_constant=_no_number)
    except RequestError:
        raise
    except RecursionError as error:
        raise RequestError("the body is nested too deeply", reason="json") from error
    except (ValueError, UnicodeDecodeError) as error:
        # Report the position only, not the content.
        place = getattr(error, "pos", None)
        at = f" at character {place}" if place is not None else ""
        raise RequestError(f"the body is not JSON{at}", reason="json") from error
    if not isinstance(document, dict):
        _refuse(f"the body must be a JSON object with `{needed}`", "shape")
    for name in document:
        if name not in known:
            _refuse(f"unknown field {_shown(name)}; there are {', '.join(known)}", "shape")
    if needed not in document:
        _refuse(f"`{needed}` is missing", "shape")
    return document


def _no_number(name: str) -> NoReturn:
    _refuse(f"the body holds {name}, which is neither JSON nor a finite number", "value")


def _row_ids(value: object, n_rows: int) -> list[str | None]:
    if value is None:
        return [None] * n_rows
    if not isinstance(value, list) or len(value) != n_rows:
        _refuse(f"`ids` must be a list of {n_rows}, one for each row", "ids", n_rows)
    return [
        None if item is None else _id(item, f"ids[{place}]", n_rows)
        for place, item in enumerate(value)
    ]


def _id(value: object, where: str, rows: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_ID:
        _refuse(f"{where} must be a text of 1 to {LONGEST_ID} characters", "ids", rows)
    if not _is_unicode(value) or "\0" in value:
        _refuse(f"{where} holds characters that are not valid Unicode", "ids", rows)
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _cell_label(value: object, where: str, layout: Layout, rows: int) -> float:
    """Read the first cell: null means an unknown true value, and so does 0 for a classifier."""
    if layout.label_kind is LabelKind.NUMBER:
        return math.nan if value is None else _label(value, where, layout, rows)
    if value is None or (type(value) in (int, float) and value == 0):
        return math.nan
    if layout.label_kind is LabelKind.NONE:
        if not isinstance(value, str):
            _refuse(f"{where} must be null, 0 or the name of a class", "label", rows)
        return math.nan
    return _label(value, where, layout, rows)


def _label(value: object, where: str, layout: Layout, rows: int) -> float:
    if layout.label_kind is LabelKind.NUMBER:
        if type(value) not in (int, float):
            _refuse(f"{where} must be a number, the true value", "label", rows)
        number = _float(value)
        if not layout.is_label(number):
            _refuse(f"{where} is not a finite 32-bit number", "label", rows)
        return number
    if not isinstance(value, str):
        _refuse(f"{where} must be the name of a class, or its path", "label", rows)
    place = layout.find_class(value)
    if place is None:
        _refuse(f"{where} is {_shown(value)}, which is not a class of the model", "label", rows)
    return float(place)


def _joined(label: object) -> object:
    """Join a path that is a list, as ``/predict_proba`` returns it, as ``/predict`` does."""
    if isinstance(label, list) and label and all(isinstance(part, str) for part in label):
        return "\n".join(label)
    return label


def _numbers(data: list[list[Any]], width: int) -> NDArray[np.float32]:
    # Checked here, as numpy would convert true and "1" to 1.
    for row, cells in enumerate(data):
        kinds = set(map(type, cells[1:]))
        if not kinds <= {int, float}:
            cell = next(c for c in range(1, width + 1) if type(cells[c]) not in (int, float))
            _refuse(f"data[{row}][{cell}] is not a number", "type", len(data))
    flat = chain.from_iterable(cells[1:] for cells in data)
    try:
        with np.errstate(over="ignore"):
            exact = np.fromiter(flat, dtype=np.float64, count=len(data) * width)
            numbers = exact.astype(np.float32).reshape(len(data), width)
    except OverflowError:
        _refuse("a whole number in `data` is too large", "value", len(data))
    finite = np.isfinite(numbers)
    if not finite.all():
        row, cell = np.argwhere(~finite)[0]
        _refuse(f"data[{row}][{cell + 1}] is not a finite 32-bit number", "value", len(data))
    return numbers


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")
