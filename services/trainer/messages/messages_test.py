"""What goes into a message comes out of it again, also by way of the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.report import ImportReport
from ktt_core.difference import Difference
from ktt_core.errors import InvalidArgumentError
from ktt_core.progress import Progress
from ktt_core.registry import get_model
from ktt_jobs import Job, JobError, JobState
from ktt_rpc.job_messages import job_from_proto, job_to_proto, time_from_proto
from trainer.catalogue import describe_model
from trainer.evaluation_details import Comparison, RowFigures, UnknownClass, UnknownClasses
from trainer.messages import datasets, evaluation, models
from trainer.results import CheckpointInfo, DatasetInfo, EncoderInfo, ModelInfo
from trainer.specs import (
    EVALUATION,
    TRAINING,
    EvaluationOutcome,
    EvaluationSpec,
    TrainingOutcome,
    TrainingSpec,
)
from trainer.upload_info import UploadInfo

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
FIGURE = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 2**53)
NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True)
METRICS = st.dictionaries(st.sampled_from(["val", "test"]), st.dictionaries(TEXT, FIGURE))
TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))
PATH = st.lists(NAME, min_size=1, max_size=3).map("/".join)
# Whole numbers beyond 2**53 are no doubles; booleans and numbers must not be taken for one another.
SCALAR = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | FIGURE | TEXT
JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
DEPTH: Any = st.just("max") | st.integers(1, 64)
SETTINGS = st.dictionaries(TEXT, JSON, max_size=4)


def over_the_wire(message: Any) -> Any:
    """Return what the other side gets."""
    return type(message).FromString(message.SerializeToString())


def same(left: Any, right: Any) -> bool:
    """Compare JSON values strictly: 1 and True differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


@given(
    st.builds(
        DatasetInfo,
        name=NAME,
        sizes=st.dictionaries(st.sampled_from(["train", "val", "test"]), COUNT),
        depth=st.integers(0, 64),
        level_sizes=st.lists(COUNT, max_size=5).map(tuple),
        n_classes=COUNT,
        n_leaves=COUNT,
        fingerprint=TEXT,
        options=SETTINGS,
        problem=TEXT,
    )
)
def test_datasets(info: DatasetInfo) -> None:
    back = datasets.dataset_from_proto(over_the_wire(datasets.dataset_to_proto(info)))
    assert back == info
    assert same(back.options, info.options)


@given(
    st.builds(
        UploadInfo,
        id=TEXT,
        file_name=TEXT,
        size_bytes=COUNT,
        sha256=TEXT,
        committed_bytes=COUNT,
        complete=st.booleans(),
        expire_time=TIMES,
    )
)
def test_uploads(info: UploadInfo) -> None:
    message = over_the_wire(datasets.upload_to_proto(info))
    assert (message.id, message.file_name, message.sha256) == (info.id, info.file_name, info.sha256)
    assert (message.size_bytes, message.committed_bytes) == (info.size_bytes, info.committed_bytes)
    assert message.complete == info.complete
    assert time_from_proto(message.expire_time) == info.expire_time


@st.composite
def import_options(draw: st.DrawFn) -> ImportOptions:
    """Draw options that hold together."""
    columns = draw(st.lists(TEXT.filter(bool), min_size=3, max_size=6, unique=True))
    text, split, *rest = columns
    by_split = draw(st.booleans())
    labels: dict[str, Any] = {"level_columns": tuple(rest)}
    if draw(st.booleans()):
        labels = {"classes": rest[0], "sep": draw(st.none() | TEXT.filter(bool))}
    train = draw(st.floats(0.01, 1))
    ratios: Any = (
        {} if by_split else {"train_ratio": train, "val_ratio": draw(st.floats(0, 1 - train))}
    )
    return ImportOptions(
        text,
        **labels,
        **ratios,
        depth=draw(DEPTH),
        split_column=split if by_split else None,
        seed=draw(st.integers(0, 2**32 - 1)),
        min_rows_per_leaf=draw(st.integers(1, 2**31 - 1)),
        dedupe=draw(st.booleans()),
        on_error=draw(st.sampled_from(["stop", "skip"])),
    )


@given(import_options())
def test_import_options(options: ImportOptions) -> None:
    message = over_the_wire(datasets.import_options_to_proto(options))
    assert datasets.import_options_from_proto(message) == options


def test_import_options_that_are_not_set_have_their_usual_values() -> None:
    message = datasets.datasets_pb2.ImportOptions(text="t", classes="c")
    assert datasets.import_options_from_proto(message) == ImportOptions("t", "c")
    none_left = datasets.datasets_pb2.ImportOptions(text="t", classes="c", val_ratio=0.0)
    assert datasets.import_options_from_proto(none_left).val_ratio == 0.0


def test_a_number_that_no_message_holds_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="at most 2,147,483,647"):
        datasets.import_options_to_proto(ImportOptions("t", "c", min_rows_per_leaf=2**31))


@given(
    st.builds(
        ImportReport,
        rows_read=COUNT,
        rows_written=st.dictionaries(st.sampled_from(["train", "val", "test"]), COUNT),
        bad_rows=st.dictionaries(
            TEXT,
            st.fixed_dictionaries({"count": COUNT, "rows": st.lists(COUNT, max_size=3)}),
            max_size=3,
        ),
        duplicates=COUNT,
        conflicting=COUNT,
        rare_rows=COUNT,
        rare_leaves=COUNT,
        classes_per_level=st.lists(COUNT, max_size=4),
        leaves=COUNT,
        rows_per_leaf=st.fixed_dictionaries({"min": COUNT, "median": FIGURE, "max": COUNT}),
        warnings=st.lists(TEXT, max_size=3),
        seconds=FIGURE,
    )
)
def test_import_reports(report: ImportReport) -> None:
    message = over_the_wire(datasets.import_report_to_proto(report))
    assert datasets.import_report_from_proto(message) == report


def test_every_models_hyperparameters() -> None:
    get_model("tfidf_hsgd")
    from ktt_core.registry import list_models

    for entry in list_models():
        info = describe_model(entry, hyperparameters=True)
        back = models.model_from_proto(over_the_wire(models.model_to_proto(info)))
        assert same(back.to_json(), info.to_json())
    bare = ModelInfo("m", "M", "f", "s")
    assert models.model_from_proto(models.model_to_proto(bare)) == bare


@given(
    st.builds(
        CheckpointInfo,
        model=NAME,
        dataset=NAME,
        label=st.sampled_from(["best", "last"]),
        time=TEXT,
        path=PATH.map(lambda path: Path("/ws") / path),
        bytes=COUNT,
        reference=st.none() | PATH.map(lambda path: Path("/ws") / path),
        metrics=METRICS,
        problem=TEXT,
        report=st.none() | PATH.map(lambda path: Path("/ws") / path),
        run_state=st.sampled_from(["", "finished", "unfinished", "running"]),
        epochs_done=st.none() | FIGURE,
        epochs=st.none() | FIGURE,
    )
)
def test_checkpoints(info: CheckpointInfo) -> None:
    message = over_the_wire(models.checkpoint_to_proto(info, Path("/ws")))
    assert models.checkpoint_from_proto(message, Path("/ws")) == info
    assert not message.path.startswith("/")


@given(
    st.builds(
        EncoderInfo,
        name=TEXT,
        source=TEXT,
        architecture=TEXT,
        width=st.integers(0, 2**31 - 1),
        layers=st.integers(0, 2**31 - 1),
        parameters=COUNT,
        max_length=COUNT,
        problem=TEXT,
    )
)
def test_encoders(info: EncoderInfo) -> None:
    assert models.encoder_from_proto(over_the_wire(models.encoder_to_proto(info))) == info


TRAINING_SPEC = st.builds(
    TrainingSpec,
    dataset=NAME,
    model=NAME,
    hyperparameters=SETTINGS,
    reference_set=st.booleans(),
    dry_run=st.booleans(),
    resume=st.booleans(),
    resume_time=TEXT,
)
FILLED = TEXT.filter(bool)
ROWS: Any = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"on_dataset": FILLED}),
    st.fixed_dictionaries(
        {"upload_id": FILLED, "file_options": import_options().map(ImportOptions.to_json)}
    ),
    st.fixed_dictionaries(
        {"on_file": FILLED, "file_options": import_options().map(ImportOptions.to_json)}
    ),
)
BASELINE: Any = st.just({}) | st.fixed_dictionaries(
    {"baseline_dataset": FILLED, "baseline_model": FILLED, "baseline_run_time": TEXT}
)
EVALUATION_SPEC = st.builds(
    lambda rows, baseline, **fields: EvaluationSpec(**fields, **rows, **baseline),
    rows=ROWS,
    baseline=BASELINE,
    dataset=NAME,
    model=NAME,
    split=st.sampled_from(["train", "val", "test"]),
    label=st.sampled_from(["best", "last"]),
    run_time=TEXT,
    unseen=st.booleans(),
    list_errors=st.booleans(),
)
TRAINING_OUTCOME = st.builds(
    TrainingOutcome,
    checkpoint_path=TEXT,
    reference_path=TEXT,
    run_time=TEXT,
    metrics=METRICS,
    seconds=FIGURE,
    report_path=TEXT,
    resumed=st.booleans(),
    warnings=st.lists(TEXT, max_size=3).map(tuple),
)
FIGURES = st.dictionaries(TEXT, FIGURE, max_size=3)
UNKNOWN = st.builds(
    UnknownClasses,
    rows=COUNT,
    classes=COUNT,
    partly_known_rows=COUNT,
    largest=st.lists(
        st.builds(UnknownClass, st.lists(TEXT, min_size=1, max_size=3).map(tuple), COUNT),
        max_size=3,
    ).map(tuple),
)
ROW_FIGURES = st.builds(RowFigures, rows=COUNT, figures=FIGURES)
DIFFERENCES = st.dictionaries(
    TEXT, st.builds(Difference, value=FIGURE, low=FIGURE, high=FIGURE), max_size=2
)
EVALUATION_OUTCOME = st.builds(
    EvaluationOutcome,
    checkpoint_path=TEXT,
    rows=COUNT,
    figures=FIGURES,
    warnings=st.lists(TEXT, max_size=3).map(tuple),
    seconds=FIGURE,
    on=TEXT,
    all_rows=st.none() | ROW_FIGURES,
    unknown=st.none() | UNKNOWN,
    seen_rows=COUNT,
    comparison=st.none()
    | st.builds(
        Comparison,
        dataset=NAME,
        model=NAME,
        checkpoint_path=TEXT,
        figures=FIGURES,
        differences=DIFFERENCES,
        all_rows=ROW_FIGURES,
        all_differences=DIFFERENCES,
        unknown=UNKNOWN,
    ),
    error_rows=COUNT,
)


@st.composite
def any_job(draw: st.DrawFn, kind: str, specs: Any, outcomes: Any) -> Job:
    """Draw a job of a kind."""
    spec = draw(specs)
    state = draw(st.sampled_from(JobState))
    created = draw(TIMES)
    return Job(
        id=draw(TEXT),
        kind=kind,
        spec=spec.to_json(),
        labels=spec.labels,
        state=state,
        create_time=created,
        start_time=draw(st.none() | st.just(created + timedelta(microseconds=1))),
        progress=draw(st.none() | st.builds(Progress, TEXT, COUNT, st.none() | COUNT, TEXT)),
        error=JobError("DataError", "bad", 3) if state is JobState.FAILED else None,
        result=draw(outcomes).to_json() if state is JobState.SUCCEEDED else None,
        attempt=draw(st.integers(0, 5)),
        last_event=draw(st.integers(0, 1000)),
        request_id=draw(NAME),
        cancel_requested=draw(st.booleans()),
    )


@given(any_job("training", TRAINING_SPEC, TRAINING_OUTCOME))
def test_training_jobs(job: Job) -> None:
    back = job_from_proto(TRAINING, over_the_wire(job_to_proto(TRAINING, job)))
    assert back == job
    assert same(back.spec, job.spec)


# Much is drawn for a job; on a busy machine that is slow.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(any_job("evaluation", EVALUATION_SPEC, EVALUATION_OUTCOME))
def test_evaluation_jobs(job: Job) -> None:
    assert job_from_proto(EVALUATION, over_the_wire(job_to_proto(EVALUATION, job))) == job


def test_an_evaluation_is_of_the_newest_best_checkpoint_on_the_test_split_unless_it_says() -> None:
    message = evaluation.evaluation_pb2.EvaluationSpec(dataset="d", model="m")
    assert evaluation.evaluation_spec_from_proto(message) == EvaluationSpec(
        "d", "m", "test", "best", ""
    )


def test_a_baseline_is_of_the_same_dataset_and_model_unless_it_says() -> None:
    message = evaluation.evaluation_pb2.EvaluationSpec(dataset="d", model="m")
    message.baseline.run_time = "2026-01-31T12:34:56"
    spec = evaluation.evaluation_spec_from_proto(message)
    assert (spec.baseline_dataset, spec.baseline_model) == ("d", "m")


def test_an_evaluation_that_an_earlier_version_kept_is_read() -> None:
    spec = {"dataset": "d", "model": "m", "split": "val", "label": "best", "run_time": ""}
    assert EvaluationSpec.from_json(spec) == EvaluationSpec("d", "m", "val")
    outcome = {"checkpoint_path": "c", "rows": 3, "figures": {}, "warnings": [], "seconds": 1.0}
    assert EvaluationOutcome.from_json(outcome) == EvaluationOutcome("c", 3, seconds=1.0)
