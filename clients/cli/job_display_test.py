"""A job's page says what was asked and found, and nothing that was not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cli.job_display import print_job
from ktt_jobs import Job, JobState
from trainer.specs import EVALUATION, EvaluationSpec

NOW = datetime(2026, 1, 31, tzinfo=UTC)
OWN = EvaluationSpec("shop", "tfidf_hsgd", "val")
JOB = Job(
    "0b5e6f1c",
    EVALUATION.name,
    OWN.to_json(),
    OWN.labels,
    JobState.SUCCEEDED,
    NOW,
    result={"rows": 2, "figures": {"leaf_accuracy": 0.5}},
)


@pytest.mark.parametrize(
    ("spec", "split"),
    [
        (OWN, "val"),
        (replace(OWN, on_dataset="other"), "val"),
        (replace(OWN, file_options={"split_column": "part"}), "val"),
        (replace(OWN, file_options={"split_column": None}), ""),
    ],
    ids=["own rows", "another dataset's", "a part of a file", "a whole file"],
)
def test_figures_are_those_of_a_split_only_where_the_rows_are_of_one(
    spec: EvaluationSpec, split: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_job(replace(JOB, spec=spec.to_json()))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [*split.split(), "leaf_accuracy", "0.5000"] in lines
    assert (["asked:", "split", "val"] in lines) == bool(split)
