"""The calls about jobs, models and checkpoints, as a client of a real server sees them."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import grpc
import pyarrow.parquet as pq
import pytest

from ktt.jobs.v1 import jobs_pb2
from ktt.trainer.v1 import datasets_pb2, evaluation_pb2, models_pb2, training_pb2
from trainer.conftest import TrainerProcess, code_of, refusal

Code = grpc.StatusCode


def training(server: TrainerProcess, request_id: str = "", only: bool = False, **spec: Any) -> Any:
    """Ask for a training job."""
    values = spec.pop("hyperparameters", {})
    wanted = training_pb2.TrainingSpec(**{"dataset": "shop", "model": "tfidf_hsgd", **spec})
    wanted.hyperparameters.update(values)
    return server.calls.CreateTrainingJob(
        training_pb2.CreateTrainingJobRequest(
            spec=wanted, request_id=request_id, validate_only=only
        )
    ).training_job


def evaluation(server: TrainerProcess, only: bool = False, **spec: Any) -> Any:
    """Ask for an evaluation job."""
    wanted = evaluation_pb2.EvaluationSpec(**{"dataset": "shop", "model": "tfidf_hsgd", **spec})
    request = evaluation_pb2.CreateEvaluationJobRequest(spec=wanted, validate_only=only)
    return server.calls.CreateEvaluationJob(request).evaluation_job


@pytest.fixture(scope="module")
def trained(server: TrainerProcess) -> training_pb2.TrainingJob:
    """Return a training job that has ended well."""
    job_id = server.train(reference_set=True)
    states = [event.state for event in server.events(job_id)]
    assert states[-1] == jobs_pb2.JOB_STATE_SUCCEEDED
    return server.job(job_id)


def test_a_training_job_leaves_a_checkpoint_that_an_evaluation_job_tests(
    server: TrainerProcess, trained: training_pb2.TrainingJob
) -> None:
    result = trained.result
    assert (server.workspace / result.checkpoint_path).is_file()
    assert (server.workspace / result.reference_path).is_file()
    assert result.run_time in result.checkpoint_path
    assert result.seconds > 0
    job = evaluation(server, run_time=result.run_time)
    watched = server.calls.WatchEvaluationJob(evaluation_pb2.WatchEvaluationJobRequest(id=job.id))
    events = [response.event for response in watched]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    request = evaluation_pb2.GetEvaluationJobRequest(id=job.id)
    done = server.calls.GetEvaluationJob(request).evaluation_job
    assert done.spec.split == "test" and done.spec.label == "best"
    assert done.result.checkpoint_path == result.checkpoint_path
    assert done.result.rows == 30
    assert done.result.figures["hierarchical_f1"] == pytest.approx(
        result.metrics["test"].figures["hierarchical_f1"]
    )
    listed = server.calls.ListEvaluationJobs(evaluation_pb2.ListEvaluationJobsRequest())
    assert [job.id for job in listed.evaluation_jobs] == [done.id]
    cancelled = server.calls.CancelEvaluationJob(
        evaluation_pb2.CancelEvaluationJobRequest(id=done.id)
    )
    assert cancelled.evaluation_job == done


def test_an_uploads_rows_are_evaluated_and_what_was_wrong_comes_back(
    server: TrainerProcess, trained: training_pb2.TrainingJob
) -> None:
    data = b"title,category\na shoe,Sport > Shoes\na drum,Music > Drums\n=a flute,Music > Flutes\n"
    upload = server.upload(data, hashlib.sha256(data).hexdigest(), "new.csv")
    options = datasets_pb2.ImportOptions(text="title", classes="category", sep=" > ")
    job = evaluation(server, upload_id=upload, file_options=options, list_errors=True)
    list(server.calls.WatchEvaluationJob(evaluation_pb2.WatchEvaluationJobRequest(id=job.id)))
    request = evaluation_pb2.GetEvaluationJobRequest(id=job.id)
    result = server.calls.GetEvaluationJob(request).evaluation_job.result
    assert (result.on, result.rows, result.all_rows.rows) == ("new.csv", 2, 3)
    assert list(result.unknown.largest[0].path) == ["Music", "Flutes"]
    assert result.error_rows == 1

    whole, start = download(server, job.id)
    assert (len(whole), hashlib.sha256(whole).hexdigest()) == (start.size_bytes, start.sha256)
    (row,) = pq.read_table(io.BytesIO(whole)).to_pylist()
    assert (row["row"], row["text"], row["known"]) == (3, "=a flute", "partly")
    assert download(server, job.id, offset=100) == (whole[100:], start)
    assert refusal(download, server, "x") == (Code.INVALID_ARGUMENT, ["evaluation_job_id"])
    beyond = refusal(download, server, job.id, offset=len(whole) + 1)
    assert beyond == (Code.INVALID_ARGUMENT, ["offset"])
    assert refusal(download, server, trained.id)[0] == Code.NOT_FOUND
    unlisted = evaluation(server)
    list(server.calls.WatchEvaluationJob(evaluation_pb2.WatchEvaluationJobRequest(id=unlisted.id)))
    assert refusal(download, server, unlisted.id)[0] == Code.FAILED_PRECONDITION

    server.calls.DeleteUpload(datasets_pb2.DeleteUploadRequest(upload_id=upload))
    gone = refusal(evaluation, server, upload_id=upload, file_options=options)
    assert gone[0] == Code.NOT_FOUND


def download(server: TrainerProcess, job_id: str, offset: int = 0) -> tuple[bytes, Any]:
    """Fetch what a job has listed, from some byte on; return it, and what was announced."""
    request = evaluation_pb2.DownloadEvaluationErrorsRequest(
        evaluation_job_id=job_id, offset=offset
    )
    first, *rest = server.calls.DownloadEvaluationErrors(request)
    return b"".join(response.chunk for response in rest), first.start


def test_rows_that_cannot_be_are_refused_by_their_field(
    server: TrainerProcess, trained: training_pb2.TrainingJob
) -> None:
    options = datasets_pb2.ImportOptions(text="title", classes="category", sep=" > ")
    deep = datasets_pb2.ImportOptions(text="title", classes="category", depth=99)
    against = evaluation_pb2.EvaluationBaseline(model="tfidf_lgsd")
    # While it is only checked, the file may be still to come.
    assert evaluation(server, only=True, file_options=options).id == ""
    for code, fields, spec in (
        (Code.INVALID_ARGUMENT, ["spec.upload_id"], {"file_options": options}),
        (Code.INVALID_ARGUMENT, ["spec.file_options"], {"upload_id": "0" * 32}),
        (Code.INVALID_ARGUMENT, ["spec.file_options.depth"], {"file_options": deep}),
        (Code.INVALID_ARGUMENT, ["spec.baseline_run_time"], {"baseline": _itself()}),
        (Code.NOT_FOUND, [], {"on_dataset": "nothing"}),
        (Code.NOT_FOUND, [], {"baseline": against}),
    ):
        assert refusal(evaluation, server, **spec) == (code, fields), spec
    outside = {"server_path": "/etc/passwd.csv", "file_options": options}
    assert refusal(evaluation, server, **outside)[0] == Code.PERMISSION_DENIED


def _itself() -> evaluation_pb2.EvaluationBaseline:
    return evaluation_pb2.EvaluationBaseline(dataset="shop")


def test_a_late_watcher_misses_nothing(
    server: TrainerProcess, trained: training_pb2.TrainingJob
) -> None:
    events = list(server.events(trained.id))
    assert [event.sequence for event in events] == list(range(1, trained.status.last_event + 1))
    assert list(server.events(trained.id, after=3)) == events[3:]
    assert list(server.events(trained.id, after=trained.status.last_event)) == []


def test_the_same_request_makes_one_job(server: TrainerProcess) -> None:
    before = len(list_jobs(server))
    first = training(server, "once", dry_run=True, hyperparameters={"epochs": 1})
    assert training(server, "once", dry_run=True, hyperparameters={"epochs": 1}).id == first.id
    assert first.status.request_id == "once"
    other = refusal(training, server, "once", dry_run=True, hyperparameters={"epochs": 2})
    assert other[0] == Code.ALREADY_EXISTS
    for request_id in ("no spaces", "x" * 65, "ü", "../x"):
        bad = refusal(training, server, request_id)
        assert bad == (Code.INVALID_ARGUMENT, ["request_id"])
    assert len(list_jobs(server)) == before + 1
    list(server.events(first.id))
    done = server.job(first.id)
    assert done.result.checkpoint_path == "" and done.result.metrics["test"].figures


def test_checking_a_spec_makes_no_job(
    server: TrainerProcess, trained: training_pb2.TrainingJob
) -> None:
    before = len(list_jobs(server))
    checked = training(server, only=True, hyperparameters={"epochs": 3})
    assert checked.id == "" and checked.spec.model == "tfidf_hsgd"
    assert evaluation(server, only=True).id == ""
    bad = refusal(training, server, only=True, hyperparameters={"epochs": 0})
    assert bad == (Code.INVALID_ARGUMENT, ["spec.hyperparameters.epochs"])
    assert len(list_jobs(server)) == before


def nested(depth: int) -> dict[str, Any]:
    return {"x": nested(depth - 1)} if depth else {}


@pytest.mark.parametrize(
    ("spec", "code", "field"),
    [
        ({"dataset": "nothing"}, Code.NOT_FOUND, None),
        ({"model": "nothing"}, Code.NOT_FOUND, None),
        ({"dataset": ""}, Code.INVALID_ARGUMENT, "spec.dataset"),
        ({"dataset": "../../etc/passwd"}, Code.INVALID_ARGUMENT, "spec.dataset"),
        ({"dataset": "x" * 10_000}, Code.INVALID_ARGUMENT, "spec.dataset"),
        ({"dataset": "CON"}, Code.INVALID_ARGUMENT, "spec.dataset"),
        ({"model": "a/b"}, Code.INVALID_ARGUMENT, "spec.model"),
        ({"model": "a\0b"}, Code.INVALID_ARGUMENT, "spec.model"),
    ],
)
def test_specs_of_nothing_are_refused(
    server: TrainerProcess, spec: dict[str, str], code: grpc.StatusCode, field: str | None
) -> None:
    before = len(list_jobs(server))
    for ask in (training, evaluation):
        assert refusal(ask, server, **spec) == (code, [field] if field else [])
    assert len(list_jobs(server)) == before


@pytest.mark.parametrize(
    ("hyperparameters", "field"),
    [
        ({"alpha": "9" * 10_000}, "spec.hyperparameters.alpha"),
        ({"alpha": -1}, "spec.hyperparameters.alpha"),
        ({"epochs": True}, "spec.hyperparameters.epochs"),
        ({"epochs": 1.5}, "spec.hyperparameters.epochs"),
        ({"epochs": None}, "spec.hyperparameters.epochs"),
        ({"nonsense": 1}, "spec.hyperparameters.nonsense"),
        ({"k" * 10_000: 1}, "spec.hyperparameters." + "k" * 60 + "..."),
        ({f"key{n}": n for n in range(5_000)}, "spec.hyperparameters"),
        ({"alpha": nested(20)}, "spec.hyperparameters.alpha"),
        ({"epochs": 1, "alpha": [[1.0] * 200] * 100}, "spec.hyperparameters.alpha"),
    ],
)
def test_hyperparameters_that_are_wrong_are_named(
    server: TrainerProcess, hyperparameters: dict[str, Any], field: str
) -> None:
    before = len(list_jobs(server))
    bad = refusal(training, server, hyperparameters=hyperparameters)
    assert bad == (Code.INVALID_ARGUMENT, [field])
    assert len(list_jobs(server)) == before


def test_each_hyperparameter_that_is_wrong_is_named(server: TrainerProcess) -> None:
    wrong = {"alpha": -1, "epochs": 2, "nonsense": 1, "seed": "x"}
    code, fields = refusal(training, server, hyperparameters=wrong)
    names = [f"spec.hyperparameters.{name}" for name in ("alpha", "nonsense", "seed")]
    assert (code, sorted(fields)) == (Code.INVALID_ARGUMENT, names)


@pytest.mark.parametrize(
    ("spec", "code", "fields"),
    [
        ({"resume": True}, Code.FAILED_PRECONDITION, []),
        ({"resume": True, "dry_run": True}, Code.INVALID_ARGUMENT, ["spec.dry_run"]),
        ({"resume_time": "2001-01-31T12:34:56"}, Code.INVALID_ARGUMENT, ["spec.resume_time"]),
        (
            {"model": "db_linear", "resume": True, "resume_time": "yesterday"},
            Code.INVALID_ARGUMENT,
            ["spec.resume_time"],
        ),
        (
            {"model": "db_linear", "resume": True, "resume_time": "2001-01-31T12:34:56"},
            Code.NOT_FOUND,
            [],
        ),
        (
            {"model": "db_linear", "hyperparameters": {"encoder": "../tiny"}},
            Code.INVALID_ARGUMENT,
            ["spec.hyperparameters.encoder"],
        ),
        (
            {"model": "db_linear", "hyperparameters": {"encoder": "/etc"}},
            Code.PERMISSION_DENIED,
            [],
        ),
        (
            {"model": "db_linear", "hyperparameters": {"encoder": "x", "download": True}},
            Code.PERMISSION_DENIED,
            [],
        ),
        ({"model": "db_linear", "hyperparameters": {"encoder": "nothing"}}, Code.NOT_FOUND, []),
    ],
)
def test_runs_that_cannot_be_begun_or_continued_are_refused(
    server: TrainerProcess, spec: dict[str, Any], code: grpc.StatusCode, fields: list[str]
) -> None:
    before = len(list_jobs(server))
    assert refusal(training, server, **spec) == (code, fields)
    assert len(list_jobs(server)) == before


def test_encoders_are_listed_page_by_page(
    server: TrainerProcess,
) -> None:
    everything = models_pb2.ListEncodersRequest()
    names = [encoder.name for encoder in server.calls.ListEncoders(everything).encoders]
    assert names == sorted(names)
    found, token = [], ""
    while True:
        request = models_pb2.ListEncodersRequest(page_size=1, page_token=token)
        page = server.calls.ListEncoders(request)
        found += [encoder.name for encoder in page.encoders]
        token = page.next_page_token
        if not token:
            break
    assert found == names


@pytest.mark.parametrize(
    ("spec", "code", "fields"),
    [
        ({"split": "tset"}, Code.INVALID_ARGUMENT, ["spec.split"]),
        ({"label": "worst"}, Code.INVALID_ARGUMENT, ["spec.label"]),
        ({"run_time": "yesterday"}, Code.INVALID_ARGUMENT, ["spec.run_time"]),
        ({"run_time": "2001-01-31T12:34:56"}, Code.NOT_FOUND, []),
        ({"model": "tfidf_lsgd"}, Code.NOT_FOUND, []),
    ],
)
def test_evaluations_of_what_is_not_there_are_refused(
    server: TrainerProcess,
    trained: training_pb2.TrainingJob,
    spec: dict[str, str],
    code: grpc.StatusCode,
    fields: list[str],
) -> None:
    assert refusal(evaluation, server, **spec) == (code, fields)


def test_jobs_that_are_not_there_are_not_found(server: TrainerProcess) -> None:
    calls = server.calls
    asked: dict[Any, Any] = {
        calls.GetTrainingJob: training_pb2.GetTrainingJobRequest,
        calls.CancelTrainingJob: training_pb2.CancelTrainingJobRequest,
        lambda request: list(calls.WatchTrainingJob(request)): training_pb2.WatchTrainingJobRequest,
        calls.GetEvaluationJob: evaluation_pb2.GetEvaluationJobRequest,
    }
    unknown = "0b5e6f1c-2f7a-4d7e-9d55-6a1f0c3e8b42"
    for call, kind in asked.items():
        assert refusal(call, kind(id=unknown)) == (Code.NOT_FOUND, [])
        for job_id in ("", "../../etc", "x" * 10_000):
            bad = refusal(call, kind(id=job_id))
            assert bad == (Code.INVALID_ARGUMENT, ["id"])


def test_a_job_is_of_its_kind(server: TrainerProcess, trained: training_pb2.TrainingJob) -> None:
    request = evaluation_pb2.CancelEvaluationJobRequest(id=trained.id)
    assert refusal(server.calls.CancelEvaluationJob, request) == (Code.NOT_FOUND, [])


def list_jobs(server: TrainerProcess, **request: Any) -> list[training_pb2.TrainingJob]:
    """Return all training jobs, page by page."""
    found, token = [], ""
    while True:
        page = server.calls.ListTrainingJobs(
            training_pb2.ListTrainingJobsRequest(page_token=token, **request)
        )
        found += page.training_jobs
        token = page.next_page_token
        if not token:
            return found


def cancel(server: TrainerProcess, job_id: str) -> None:
    """Cancel a training job and wait for its end."""
    server.calls.CancelTrainingJob(training_pb2.CancelTrainingJobRequest(id=job_id))
    list(server.events(job_id))


def test_jobs_are_listed_in_pages_and_by_filter(
    server: TrainerProcess, trained: training_pb2.TrainingJob
) -> None:
    jobs = [training(server, dry_run=True, hyperparameters={"epochs": 1}).id for _ in range(2)]
    whole = list_jobs(server)
    assert [job.id for job in whole[:2]] == jobs[::-1]
    assert [job.id for job in list_jobs(server, page_size=1)] == [job.id for job in whole]
    assert list_jobs(server, dataset="shop", model="tfidf_hsgd", page_size=2) == list_jobs(server)
    assert list_jobs(server, dataset="other") == list_jobs(server, model="tfidf_lsgd") == []
    for job_id in jobs:
        cancel(server, job_id)
    succeeded = list_jobs(server, states=[jobs_pb2.JOB_STATE_SUCCEEDED])
    assert trained.id in [job.id for job in succeeded]
    assert list_jobs(server, states=[jobs_pb2.JOB_STATE_QUEUED]) == []


def test_pages_of_another_call_or_filter_are_refused(server: TrainerProcess) -> None:
    for _ in range(2):
        cancel(server, training(server, dry_run=True).id)
    calls = server.calls
    token = calls.ListTrainingJobs(
        training_pb2.ListTrainingJobsRequest(page_size=1)
    ).next_page_token
    assert token
    others: list[tuple[Any, Any]] = [
        (calls.ListTrainingJobs, training_pb2.ListTrainingJobsRequest(dataset="shop")),
        (calls.ListEvaluationJobs, evaluation_pb2.ListEvaluationJobsRequest()),
        (calls.ListDatasets, datasets_pb2.ListDatasetsRequest()),
        (calls.ListModels, models_pb2.ListModelsRequest()),
        (calls.ListCheckpoints, models_pb2.ListCheckpointsRequest()),
    ]
    for call, request in others:
        for wrong in (token, token[:-2], "nonsense", "x" * 10_000):
            if call is calls.ListTrainingJobs and wrong is not token:
                request.dataset = ""
            request.page_token = wrong
            bad = refusal(call, request)
            assert bad == (Code.INVALID_ARGUMENT, ["page_token"])
        request.page_token, request.page_size = "", -1
        assert refusal(call, request) == (Code.INVALID_ARGUMENT, ["page_size"])
    state = training_pb2.ListTrainingJobsRequest(states=[jobs_pb2.JOB_STATE_UNSPECIFIED])
    assert refusal(calls.ListTrainingJobs, state)[0] == Code.INVALID_ARGUMENT
    name = training_pb2.ListTrainingJobsRequest(dataset="../x")
    assert refusal(calls.ListTrainingJobs, name) == (Code.INVALID_ARGUMENT, ["dataset"])


def test_models_and_checkpoints_are_listed(
    server: TrainerProcess, trained: training_pb2.TrainingJob
) -> None:
    calls = server.calls
    page = calls.ListModels(models_pb2.ListModelsRequest(page_size=1))
    rest = calls.ListModels(models_pb2.ListModelsRequest(page_token=page.next_page_token))
    ids = [model.id for model in (*page.models, *rest.models)]
    assert ids == sorted(ids) and {"tfidf_hsgd", "tfidf_lsgd"} <= set(ids)
    assert not calls.ListModels(models_pb2.ListModelsRequest(framework="none")).models
    model = calls.GetModel(models_pb2.GetModelRequest(id="tfidf_hsgd")).model
    epochs = next(row for row in model.hyperparameters if row.name == "epochs")
    assert epochs.limits["minimum"] == 1 and epochs.description
    assert refusal(calls.GetModel, models_pb2.GetModelRequest(id="x")) == (
        Code.NOT_FOUND,
        [],
    )
    bad = refusal(calls.GetModel, models_pb2.GetModelRequest(id="../x"))
    assert bad == (Code.INVALID_ARGUMENT, ["id"])
    found = calls.ListCheckpoints(models_pb2.ListCheckpointsRequest(dataset="shop")).checkpoints
    checkpoint = next(entry for entry in found if entry.run_time == trained.result.run_time)
    assert checkpoint.path == trained.result.checkpoint_path
    assert checkpoint.reference_path == trained.result.reference_path
    assert checkpoint.metrics["test"] == trained.result.metrics["test"]
    bad = refusal(calls.ListCheckpoints, models_pb2.ListCheckpointsRequest(model="../x"))
    assert bad == (Code.INVALID_ARGUMENT, ["model"])


def test_structs_deeper_than_any_parser_reads_harm_nothing(server: TrainerProcess) -> None:
    # By hand: the library would not write it.
    value = b""
    for _ in range(2000):
        entry = b"\x0a\x01x\x12" + _varint(len(value)) + value
        struct = b"\x0a" + _varint(len(entry)) + entry
        value = b"\x2a" + _varint(len(struct)) + struct
    entry = b"\x0a\x01x\x12" + _varint(len(value)) + value
    struct = b"\x0a" + _varint(len(entry)) + entry
    spec = b"\x0a\x04shop\x12\x0atfidf_hsgd\x1a" + _varint(len(struct)) + struct
    request = b"\x0a" + _varint(len(spec)) + spec
    raw = server.channel.unary_unary("/ktt.trainer.v1.TrainerService/CreateTrainingJob")
    assert code_of(lambda: raw(request)) in (Code.INVALID_ARGUMENT, Code.UNKNOWN)
    assert training(server, only=True).id == ""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)
