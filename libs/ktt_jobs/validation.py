"""Checks of new jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ktt_core.errors import InvalidArgumentError
from ktt_jobs.locks import new_job_id
from ktt_jobs.rows import canonical, digest
from ktt_jobs.store import NewJob

__all__ = ["check_new_job", "same_request"]

_MAX_SPEC = 1 << 20
_MAX_LABELS = 16
_MAX_LABEL = 256
_MAX_REQUEST_ID = 128


def check_new_job(
    kinds: Collection[str],
    kind: str,
    spec: Mapping[str, Any],
    labels: Mapping[str, str],
    request_id: str,
) -> NewJob:
    """Return a job to be created.

    Parameters
    ----------
    kinds : collection of str
        Known kinds.
    kind, spec, labels, request_id
        As `JobService.submit` takes them.

    Raises
    ------
    InvalidArgumentError
        If an argument is invalid; `field` names it.
    """
    if kind not in kinds:
        known = ", ".join(sorted(kinds))
        raise InvalidArgumentError(
            f"there are no jobs of kind {str(kind)[:80]!r}; there are: {known}", field="kind"
        )
    if not isinstance(request_id, str) or len(request_id) > _MAX_REQUEST_ID:
        raise InvalidArgumentError(
            f"a request_id has at most {_MAX_REQUEST_ID} characters", field="request_id"
        )
    if request_id and not (request_id.isascii() and request_id.isprintable()):
        raise InvalidArgumentError(
            "a request_id is made of printable ASCII characters", field="request_id"
        )
    if len(labels) > _MAX_LABELS:
        raise InvalidArgumentError(f"a job has at most {_MAX_LABELS} labels", field="labels")
    for name, value in labels.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise InvalidArgumentError("labels and their values are strings", field="labels")
        if max(len(name), len(value)) > _MAX_LABEL:
            raise InvalidArgumentError(
                f"a label and its value have at most {_MAX_LABEL} characters each", field="labels"
            )
    text = canonical(dict(spec), "spec")
    if len(text) > _MAX_SPEC:
        raise InvalidArgumentError(
            f"the spec has {len(text)} characters, and {_MAX_SPEC} are allowed", field="spec"
        )
    return NewJob(new_job_id(), kind, text, canonical(dict(labels), "labels"), request_id)


def same_request(
    earlier: str, kind: str, spec: Mapping[str, Any], labels: Mapping[str, str]
) -> bool:
    """Return whether a request equals an earlier one, by its digest."""
    try:
        asked = digest(kind, canonical(dict(spec), "spec"), canonical(dict(labels), "labels"))
    except InvalidArgumentError:
        return False  # no job was ever made of it
    return asked == earlier
