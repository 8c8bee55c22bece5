"""A run's record survives its checkpoint."""

from __future__ import annotations

import json

from ktt_core.checkpoint_record import KeepsRecord, RunRecord, installed_versions


def test_a_record_survives_json() -> None:
    record = RunRecord("shop", "abc", {"val": {"leaf_accuracy": 0.5}}, versions={"numpy": "2"})
    assert RunRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_an_older_record_may_lack_fields() -> None:
    assert RunRecord.from_json({}) == RunRecord(created="")


def test_versions_are_of_installed_packages_only() -> None:
    versions = installed_versions("numpy", "no-such-package-anywhere")
    assert versions.keys() == {"python", "numpy"}


def test_a_model_with_a_record_is_recognised() -> None:
    class WithRecord:
        def __init__(self) -> None:
            self.record = RunRecord()

    assert isinstance(WithRecord(), KeepsRecord)
    assert not isinstance(object(), KeepsRecord)
