"""What a service does with its jobs is the same for every kind of job."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from ktt_core.errors import AlreadyExistsError, DataError, InvalidArgumentError, NotFoundError
from ktt_jobs import JobService, JobState
from ktt_jobs.kinds import JobHost, JobKind, JobSpec


@dataclass(frozen=True)
class Tuning(JobSpec):
    """A spec and an outcome in one."""

    dataset: str

    @property
    def labels(self) -> dict[str, str]:
        return {"dataset": self.dataset}


def validate(host: Host, spec: Tuning, submitted: bool) -> None:
    """Refuse a dataset that is not there; before a job is made of it, it may be still to come."""
    if submitted and spec.dataset not in host.datasets:
        raise DataError("it is not there")


KIND = JobKind("tuning", Tuning, Tuning, "", f"{__name__}:validate", "nowhere:task")
OTHER = JobKind("other", Tuning, Tuning, "", f"{__name__}:validate", "nowhere:task")


class Host(JobHost):
    """A service that runs no job."""

    def __init__(self, folder: Path) -> None:
        self.datasets = {"shop", "more"}
        self._jobs = JobService(folder, {kind.name: kind.task for kind in (KIND, OTHER)})

    @property
    def jobs(self) -> JobService:
        return self._jobs


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Return a service without jobs."""
    return Host(tmp_path / "jobs")


def test_what_is_only_checked_makes_no_job(host: Host) -> None:
    host.validate(KIND, Tuning("to come"))
    with pytest.raises(DataError):
        host.submit(KIND, Tuning("to come"))
    assert host.list_jobs(KIND) == ([], None)


def test_a_repeated_request_gets_its_job_whatever_has_become_of_what_it_needed(host: Host) -> None:
    job = host.submit(KIND, Tuning("shop"), "once")
    host.datasets.clear()
    assert host.submit(KIND, Tuning("shop"), "once").id == job.id
    with pytest.raises(AlreadyExistsError):
        host.submit(KIND, Tuning("more"), "once")
    for kind, request_id in ((KIND, "twice"), (KIND, ""), (OTHER, "once")):
        with pytest.raises(DataError):
            host.submit(kind, Tuning("shop"), request_id)


@pytest.mark.parametrize("request_id", ["no spaces", "x" * 65, "ü", "../x", "a\n"])
def test_a_request_id_that_is_none_is_refused(host: Host, request_id: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        host.submit(KIND, Tuning("shop"), request_id)
    assert caught.value.field == "request_id"


def test_jobs_are_found_among_those_of_their_kind(host: Host) -> None:
    jobs = [host.submit(KIND, Tuning(dataset)) for dataset in ("shop", "more")]
    host.submit(OTHER, Tuning("shop"))
    assert [job.id for job in host.list_jobs(KIND)[0]] == [job.id for job in jobs[::-1]]
    assert [job.id for job in host.list_jobs(KIND, "shop")[0]] == [jobs[0].id]
    assert host.get_job(KIND, jobs[0].id) == jobs[0]
    with pytest.raises(NotFoundError):
        host.cancel_job(OTHER, jobs[0].id)
    assert host.cancel_job(KIND, jobs[0].id).state is JobState.CANCELLED
    for ask in (host.get_job, host.cancel_job):
        with pytest.raises(InvalidArgumentError) as caught:
            ask(KIND, "../../etc")
        assert caught.value.field == "id"
    with pytest.raises(InvalidArgumentError) as wrong:
        host.list_jobs(KIND, model="/")
    assert wrong.value.field == "model"
