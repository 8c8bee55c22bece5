"""Documents survive JSON, and what is wrong in one is told with its place."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktt_core.documents import Document, parse_object
from ktt_core.errors import CheckpointError, DataError


@dataclass(frozen=True)
class Part(Document):
    """A document in another."""

    rows: int
    share: float = 0.0


@dataclass(frozen=True)
class Whole(Document):
    """Something of each kind that documents have."""

    name: str
    part: Part
    done: bool = False
    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    label: Literal["best", "last"] = "best"
    parts: tuple[Part, ...] = ()
    names: tuple[str, ...] = ()
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    perhaps: Part | None = None
    anything: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name == self.label:
            raise ValueError("the name and the label are the same")


_numbers = st.floats(allow_nan=False, allow_infinity=False)
_parts = st.builds(Part, st.integers(), _numbers)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | _numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_wholes = st.builds(
    Whole,
    name=st.text().filter(lambda name: name not in ("best", "last")),
    part=_parts,
    done=st.booleans(),
    time=st.datetimes(timezones=st.just(UTC)),
    label=st.sampled_from(["best", "last"]),
    parts=st.lists(_parts, max_size=3).map(tuple),
    names=st.lists(st.text(), max_size=3).map(tuple),
    figures=st.dictionaries(st.text(), st.dictionaries(st.text(), _numbers, max_size=3)),
    perhaps=st.none() | _parts,
    anything=st.dictionaries(st.text(), _values, max_size=3),
)

WHOLE: dict[str, Any] = {
    "name": "a",
    "part": {"rows": 1},
    "parts": [{"rows": 1}, {"rows": 2}],
    "figures": {"test": {"f1": 1}},
}


def test_a_document_is_declared_and_written_without_pydantic() -> None:
    code = (
        "import sys; from dataclasses import dataclass; from ktt_core.documents import Document\n"
        "@dataclass\nclass One(Document):\n    rows: int = 1\n"
        "assert One().to_json() == {'rows': 1} and 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


@given(_wholes)
def test_documents_survive_json(whole: Whole) -> None:
    assert Whole.from_json(json.loads(json.dumps(whole.to_json()))) == whole


@given(_wholes, st.text().filter(lambda key: key not in Whole.__dataclass_fields__), _values)
def test_unknown_keys_are_left_out(whole: Whole, key: str, value: object) -> None:
    assert Whole.from_json({**whole.to_json(), key: value}) == whole


def test_whole_numbers_are_numbers_and_defaults_fill_in() -> None:
    whole = Whole.from_json(WHOLE)
    assert whole.figures == {"test": {"f1": 1.0}} and whole.parts == (Part(1), Part(2))
    assert whole.time == datetime(2026, 1, 1, tzinfo=UTC) and whole.perhaps is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("name", 1),
        ("name", None),
        ("part", None),
        ("part", [1]),
        ("part.rows", True),
        ("part.rows", "1"),
        ("part.rows", 1.0),
        ("part.share", "0.5"),
        ("part.share", False),
        ("part.share", float("nan")),
        ("part.share", float("inf")),
        ("part.share", 10**400),
        ("done", 1),
        ("done", "true"),
        ("time", 0),
        ("time", "today"),
        ("label", "worst"),
        ("parts", {}),
        ("parts.1", 3),
        ("parts.1.rows", None),
        ("names", "abc"),
        ("names", ["a", 1]),
        ("figures", []),
        ("figures.test", 0.5),
        ("figures.test.f1", "high"),
        ("perhaps", "Part"),
        ("anything", None),
    ],
)
def test_a_wrong_value_is_told_in_one_line_with_its_place(place: str, value: object) -> None:
    document = deepcopy(WHOLE)
    *above, key = place.split(".")
    inner: Any = document
    for name in above:
        inner = inner[int(name) if isinstance(inner, list) else name]
    inner[int(key) if isinstance(inner, list) else key] = value
    with pytest.raises(CheckpointError) as caught:
        Whole.from_json(document, lambda problem: CheckpointError(f"x.json: {problem}"))
    message = str(caught.value)
    assert message.startswith(f"x.json: '{place}") and len(message.splitlines()) == 1
    assert len(message) < 300 and "pydantic" not in message


@given(st.sampled_from(sorted(Whole.__dataclass_fields__)), _values)
def test_any_value_at_any_place_is_taken_or_told_with_its_place(key: str, value: object) -> None:
    try:
        Whole.from_json({**WHOLE, key: value})
    except DataError as error:
        assert str(error).startswith(f"the Whole is damaged: '{key}") or "same" in str(error)
        assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("value", [None, [], 1, "text", True])
def test_what_is_no_object_is_no_document(value: Any) -> None:
    with pytest.raises(DataError, match="it is .*, and should be an object"):
        Whole.from_json(value)


def test_all_that_is_wrong_is_told_at_once_and_not_endlessly() -> None:
    with pytest.raises(DataError, match="'name' is missing; 'part' is missing"):
        Whole.from_json({})
    with pytest.raises(DataError, match=r"names\.4.*; and 95 more"):
        Whole.from_json({**WHOLE, "names": [1] * 100})


def test_what_a_class_checks_itself_is_told_too() -> None:
    with pytest.raises(DataError, match="the name and the label are the same"):
        Whole.from_json({**WHOLE, "name": "best"})


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (b"\xff\xff", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ("null", "not a JSON object"),
    ],
)
def test_text_that_is_no_object_is_told(content: str | bytes, problem: str) -> None:
    with pytest.raises(DataError, match=f"^x.json: {problem}"):
        parse_object(content, lambda problem: DataError(f"x.json: {problem}"))
    assert parse_object('{"a": 1}', DataError) == {"a": 1}
