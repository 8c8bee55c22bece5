"""What a task raises is told in a sentence; what it prints stays apart from its events."""

from __future__ import annotations

import pytest

from ktt_core.errors import DataError
from ktt_jobs import child


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (DataError("bad rows"), "DataError", "^bad rows$"),
        (MemoryError(), "ResourceExhaustedError", "out of memory"),
        (OSError(28, "No space left", "f"), "ResourceExhaustedError", r"left \(f\); free some"),
        (OSError(13, "Permission denied", "f"), "JobFailedError", r"denied \(f\)$"),
        (OSError("strange"), "JobFailedError", r"strange \(no file named\)"),
        (KeyError("x"), "InternalError", "a bug: KeyError: 'x'"),
    ],
)
def test_errors_are_told_in_a_sentence(error, kind, message):
    described = child._describe(error)
    assert described["type"] == kind
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(described["message"])
