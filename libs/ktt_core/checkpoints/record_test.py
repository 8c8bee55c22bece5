"""A run's record survives its checkpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ktt_core.checkpoints.record import RunRecord, installed_versions
from ktt_core.errors import CheckpointError


def test_a_record_survives_json() -> None:
    record = RunRecord(
        "shop",
        "abc",
        {"val": {"leaf_accuracy": 0.5}},
        versions={"numpy": "2"},
        history=[{"step": 1.0, "loss": 2.5}, {"epoch": 1.0, "leaf_accuracy": 0.5}],
    )
    assert RunRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_an_older_record_may_lack_fields() -> None:
    assert RunRecord.from_json({}) == RunRecord(created="")


@pytest.mark.parametrize(
    "value",
    [
        {"dataset": "shop"},
        {"dataset": []},
        {"dataset": {"name": 1}},
        {"dataset": {"fingerprint": ["a"]}},
        {"metrics": []},
        {"metrics": None},
        {"metrics": {"val": 0.5}},
        {"metrics": {"val": {"leaf_accuracy": "high"}}},
        {"metrics": {"val": {"leaf_accuracy": True}}},
        {"metrics": {"val": {"leaf_accuracy": float("nan")}}},
        {"metrics": {"val": {"leaf_accuracy": 10**400}}},
        {"created": 2026},
        {"versions": {"numpy": 2}},
        {"history": {"loss": 1.0}},
        {"history": [1.0]},
        {"history": [{"loss": "low"}]},
        {"history": [{"loss": float("inf")}]},
    ],
)
def test_a_record_of_another_type_is_damaged(value: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="record of the run is damaged"):
        RunRecord.from_json(value)


def test_versions_are_of_installed_packages_only() -> None:
    versions = installed_versions("numpy", "no-such-package-anywhere")
    assert versions.keys() == {"python", "numpy"}
