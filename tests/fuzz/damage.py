"""Damage for readers of bytes to be tried with, and what must come of it.

A reader answers damaged bytes with a result or with an error that it documents. It never hangs,
raises anything else, takes memory without bound or leaves a file behind: `survives` is that rule.

Tests are bounded, to the same examples every time. ``KTT_FUZZ_MINUTES=10`` runs each of them
for ten minutes instead, on other examples every time. What was found once stays as an ``@example``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

__all__ = [
    "Change",
    "Edit",
    "Nested",
    "changed",
    "changes",
    "edited",
    "edits",
    "fuzzed",
    "json_bytes",
    "strange_values",
    "survives",
]

Test = TypeVar("Test", bound=Callable[..., Any])
T = TypeVar("T")

_MINUTES = float(os.environ.get("KTT_FUZZ_MINUTES", "0"))
_ALL_CHECKS = list(HealthCheck)


def fuzzed(examples: int) -> Callable[[Test], Test]:
    """Bound a property: to so many examples, or to KTT_FUZZ_MINUTES. The outermost decorator."""

    def decorate(test: Test) -> Test:
        if not _MINUTES:
            return settings(
                max_examples=examples,
                deadline=None,
                derandomize=True,
                suppress_health_check=_ALL_CHECKS,
            )(test)
        endless = settings(
            max_examples=max(examples, 200),
            deadline=None,
            derandomize=False,
            suppress_health_check=_ALL_CHECKS,
        )(test)

        @pytest.mark.timeout(60 * _MINUTES + 600)
        @functools.wraps(endless)
        def repeated(*arguments: Any, **fixtures: Any) -> None:
            end = time.monotonic() + 60 * _MINUTES
            while time.monotonic() < end:
                endless(*arguments, **fixtures)

        return repeated  # type: ignore[return-value]

    return decorate


# -- what must come of it --------------------------------------------------------------------------


def survives(
    read: Callable[[], T],
    *errors: type[Exception],
    folder: Path | None = None,
    seconds: float = 20.0,
    megabytes: float = 200.0,
) -> T | None:
    """Call a reader, and fail unless it gives a result or one of its errors.

    Parameters
    ----------
    read : callable
    errors : exception classes
        Those that it documents.
    folder : Path, optional
        The reader may leave no file in it that was not there.
    seconds : float
        Of processor time, since others may use the processors too.
    megabytes : float
        Of memory, beyond what the process had before.

    Returns
    -------
    The result; None where it was refused.
    """
    before = _files(folder)
    with _processor_time(seconds), _memory(megabytes):
        try:
            result: T | None = read()
        except errors as error:
            result = None
            assert str(error).strip(), f"{error!r} says nothing"
    assert _files(folder) == before, "files were left, or are gone"
    return result


def _files(folder: Path | None) -> list[Path]:
    return sorted(folder.rglob("*")) if folder else []


@contextlib.contextmanager
def _processor_time(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"no answer after {seconds:g} seconds of processor time")

    handler = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)


@contextlib.contextmanager
def _memory(megabytes: float) -> Iterator[None]:
    # Of the whole process, so that the memory of libraries in C and Rust counts too.
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    yield
    taken = (_peak() - before) / 1024
    assert taken < megabytes, f"{taken:,.0f} MB were taken"


def _peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found
    return int(found[1])


# -- damage of bytes -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """A change of some bytes, at a place from 0 (the beginning) to 1 (the end)."""

    kind: str
    place: float
    content: bytes = b""
    length: int = 1

    def __call__(self, content: bytes) -> bytes:
        """Return the bytes, changed."""
        at = min(int(self.place * len(content)), max(len(content) - 1, 0))
        head, part = content[:at], content[at : at + self.length]
        if self.kind == "cut":
            return head
        if self.kind == "flip":
            return (
                head + bytes(byte ^ 1 << self.length % 8 for byte in part[:1]) + content[at + 1 :]
            )
        if self.kind == "put":
            return head + self.content + content[at + len(self.content) :]
        rest = content[at + len(part) :]
        return {
            "insert": head + self.content + content[at:],
            "delete": head + rest,
            "repeat": head + part + part + rest,
            "splice": head + content[: self.length] + rest,
        }[self.kind]


_EXTREME = (-1, 0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**63 - 1, 2**63)
_NUMBERS = [
    (number % 2 ** (8 * size)).to_bytes(size, order)  # type: ignore[arg-type]
    for number in _EXTREME
    for size in (1, 2, 4, 8)
    for order in ("little", "big")
]
_TEXTS = [b"-1", b"9" * 30, b"9" * 5000, b"NaN", b"1e999", b"[" * 3000, b"\xff\xfe", b"\0", b'"']


def edits(most: int = 4) -> st.SearchStrategy[tuple[Edit, ...]]:
    """Return some edits, to be made one after the other by `edited`."""
    # Where things end and begin is what readers get wrong.
    place = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
    kinds = ("cut", "flip", "flip", "put", "put", "insert", "delete", "repeat", "splice")
    content = st.one_of(st.sampled_from([*_NUMBERS, *_TEXTS]), st.binary(min_size=1, max_size=16))
    length = st.one_of(st.integers(1, 16), st.sampled_from([64, 512, 10_000]))
    return st.lists(
        st.builds(Edit, st.sampled_from(kinds), place, content, length), min_size=1, max_size=most
    ).map(tuple)


def edited(content: bytes, made: tuple[Edit, ...]) -> bytes:
    """Return bytes with edits."""
    for edit in made:
        content = edit(content)
    return content


# -- damage of JSON --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Nested:
    """Stands for lists in lists, so many that JSON has to be written without recursion."""

    depth: int


_STRANGE: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 7, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 10**400,
    0.5, -0.0, 1e308, float("nan"), float("inf"), float("-inf"),
    "", "1", "x" * 5000, "\0", "\ud800", "../x", "a/b", "/", "\n", "é",
    [], [[]], [None], [-1], [2**63], {}, {"": {}}, {"a": 1},
    Nested(200), Nested(930), Nested(100_000),
)  # fmt: skip


def strange_values() -> st.SearchStrategy[Any]:
    """Return values that a reader of JSON may not expect."""
    return st.sampled_from(_STRANGE)


@dataclass(frozen=True)
class Change:
    """A change of one value in a JSON value, which `number` chooses."""

    kind: str
    number: int
    value: Any = None

    def __call__(self, whole: Any) -> Any:
        """Return another JSON value, changed."""
        whole = {"": _copied(whole)}
        holder, key = _places(whole)[self.number % len(_places(whole))]
        if self.kind == "replace" or holder is whole:
            holder[key] = self.value
        elif self.kind == "delete":
            del holder[key]
        elif self.kind == "wrap":
            holder[key] = [holder[key]]
        elif isinstance(holder, list):
            holder.insert(key, holder[key] if self.kind == "repeat" else self.value)
        else:
            holder["more" if self.kind == "repeat" else str(self.value)[:9]] = self.value
        return whole[""]


def changes(most: int = 3) -> st.SearchStrategy[tuple[Change, ...]]:
    """Return some changes of a JSON value, to be made by `changed`."""
    kinds = ("replace", "replace", "replace", "delete", "wrap", "repeat", "add")
    numbers = st.integers(0, 10_000)
    return st.lists(
        st.builds(Change, st.sampled_from(kinds), numbers, strange_values()),
        min_size=1,
        max_size=most,
    ).map(tuple)


def changed(whole: Any, made: tuple[Change, ...]) -> Any:
    """Return a JSON value with changes; `Nested` may be in it."""
    for change in made:
        whole = change(whole)
    return whole


def json_bytes(value: Any) -> bytes:
    """Return JSON text, of `Nested` too."""
    text = json.dumps(value, default=lambda nested: f"\x1a{nested.depth}")
    return re.sub(
        r'"\\u001a(\d+)"', lambda found: "[" * int(found[1]) + "]" * int(found[1]), text
    ).encode()


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return all places within lists and objects, each with what holds it."""
    found: list[tuple[Any, Any]] = []
    todo = [value]
    for holder in todo:
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], (dict, list)):
                todo.append(holder[key])
    return found
