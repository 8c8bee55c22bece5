import json
import logging
import threading
import time
import urllib.request
from dataclasses import replace

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ktt.trainer.v1 import training_pb2 as training
from ktt_core.errors import InvalidArgumentError, InvalidConfigError, NotFoundError
from ktt_jobs import JobState
from ktt_rpc import client_calls
from ktt_rpc.conftest import NAME, SETTINGS, MemoryJobs
from ktt_rpc.errors import from_rpc_error, retry_delay

GET = training.GetTrainingJobRequest
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def test_a_call_is_answered_and_its_id_comes_back(start_server, connect):
    stub = connect(start_server().address)
    response, done = stub.GetTrainingJob.with_call(
        GET(id="j1"), metadata=(("x-request-id", "mine-1"),)
    )
    assert response.training_job.status.last_event == 1
    assert dict(done.trailing_metadata())["x-request-id"] == "mine-1"


def test_an_error_comes_back_as_the_class_it_was(start_server, connect):
    stub = connect(start_server().address)
    with pytest.raises(NotFoundError, match="there is no job nope"):
        client_calls.call(stub.GetTrainingJob, GET(id="nope"))
    with pytest.raises(InvalidConfigError, match="give at least 1") as raised:
        client_calls.call(
            stub.CreateTrainingJob, training.CreateTrainingJobRequest(), idempotent=False
        )
    assert raised.value.field == "spec.hyperparameters.epochs"


def test_a_very_long_message_still_fits_into_a_status(start_server, connect):
    stub = connect(start_server().address)
    request = training.CreateTrainingJobRequest(spec=training.TrainingSpec(dataset="long"))
    with pytest.raises(InvalidConfigError, match=r"(?s)^epochs: .*\.\.\.$") as raised:
        client_calls.call(stub.CreateTrainingJob, request)
    assert raised.value.field == "spec.hyperparameters"


def test_an_unexpected_exception_shows_only_an_id_and_is_logged_under_it(
    start_server, connect, caplog
):
    stub = connect(start_server().address)
    with caplog.at_level(logging.ERROR), pytest.raises(grpc.RpcError) as raised:
        stub.GetTrainingJob(GET(id="bug"))
    error = raised.value
    assert error.code() is grpc.StatusCode.INTERNAL
    logged = next(record for record in caplog.records if hasattr(record, "error_id"))
    assert logged.error_id in error.details()
    assert logged.exc_info[0] is KeyError
    everything = error.details() + repr(error.trailing_metadata())
    for leak in ("KeyError", "secret", "/some/path", "Traceback", ".py"):
        assert leak not in everything


def test_an_oversized_request_is_refused_and_the_server_goes_on(start_server, connect):
    stub = connect(start_server(replace(SETTINGS, max_message_mb=0.1)).address)
    with pytest.raises(grpc.RpcError) as raised:
        stub.GetTrainingJob(GET(id="x" * 200_000))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert stub.GetTrainingJob(GET(id="j1")).training_job.id == "j1"


def test_a_peer_that_calls_too_often_is_told_how_long_to_wait(start_server, connect):
    stub = connect(start_server(replace(SETTINGS, rate_limit=5)).address)
    with pytest.raises(grpc.RpcError) as raised:
        for _ in range(30):
            stub.GetTrainingJob(GET(id="j1"))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 0 < (retry_delay(raised.value) or 0) <= 0.2
    # Waiting as long as asked for is enough.
    assert client_calls.call(stub.GetTrainingJob, GET(id="j1")).training_job.id == "j1"


def test_calls_beyond_the_places_are_refused_and_places_come_back(start_server, connect):
    server = start_server(replace(SETTINGS, max_concurrent_calls=2))
    stub = connect(server.address)
    slow = [stub.GetTrainingJob.future(GET(id="slow")) for _ in range(2)]
    _wait_for(lambda: server.running._interceptor._calls.in_use == 2)
    with pytest.raises(grpc.RpcError) as raised:
        stub.GetTrainingJob(GET(id="j1"))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for call in slow:
        call.cancel()
    assert client_calls.call(stub.GetTrainingJob, GET(id="j1"), patience=10).training_job.id == "j1"


def test_a_deadline_is_passed_on_and_work_is_abandoned_after_it(start_server, connect):
    server = start_server()
    with pytest.raises(grpc.RpcError) as raised:
        connect(server.address).GetTrainingJob(GET(id="slow"), timeout=0.5)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    # On the wire it is rounded up to a whole unit of time.
    assert 0 < server.servicer.remaining <= 0.51
    assert server.servicer.abandoned.wait(20)


def test_pages_follow_each_other_and_a_token_belongs_to_its_filters(start_server, connect):
    stub = connect(start_server().address)
    request = training.ListTrainingJobsRequest(page_size=4, dataset="a")
    ids: list[str] = []
    while True:
        response = stub.ListTrainingJobs(request)
        ids += [job.id for job in response.training_jobs]
        if not response.next_page_token:
            break
        request.page_token = response.next_page_token
    assert ids == [str(at) for at in range(10)]
    request.dataset = "b"
    with pytest.raises(InvalidArgumentError, match="other filters") as raised:
        client_calls.call(stub.ListTrainingJobs, request)
    assert raised.value.field == "page_token"


def test_a_client_that_knows_only_reflection_can_call(start_server):
    with grpc.insecure_channel(start_server().address) as channel:
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        listed = next(ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")])))
        names = {service.name for service in listed.list_services_response.service}
        assert {NAME, "grpc.health.v1.Health"} <= names
        pool = descriptor_pool.DescriptorPool()
        wanted = reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME)
        for content in next(ask(iter([wanted]))).file_descriptor_response.file_descriptor_proto:
            _add(pool, descriptor_pb2.FileDescriptorProto.FromString(content), ask)
        method = pool.FindServiceByName(NAME).FindMethodByName("GetTrainingJob")
        request, response = map(
            message_factory.GetMessageClass, (method.input_type, method.output_type)
        )
        call = channel.unary_unary(
            f"/{NAME}/GetTrainingJob", request.SerializeToString, response.FromString
        )
        assert call(request(id="j1")).training_job.id == "j1"


def _add(pool, file, ask):
    try:
        pool.FindFileByName(file.name)
    except KeyError:
        for name in file.dependency:
            wanted = reflection_pb2.ServerReflectionRequest(file_by_filename=name)
            for content in next(ask(iter([wanted]))).file_descriptor_response.file_descriptor_proto:
                _add(pool, descriptor_pb2.FileDescriptorProto.FromString(content), ask)
        pool.Add(file)


def test_the_newer_name_of_reflection_is_answered_too(start_server):
    with grpc.insecure_channel(start_server().address) as channel:
        call = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        answer = next(call(iter([reflection_pb2.ServerReflectionRequest(list_services="")])))
    assert NAME in {service.name for service in answer.list_services_response.service}


def test_health_is_told_per_service_and_goes_away_before_the_server_does(start_server):
    server = start_server()
    seen: dict[str, list[int]] = {"": [], NAME: []}
    codes: list[grpc.StatusCode] = []
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        def look(service):
            try:
                for answer in stub.Watch(health_pb2.HealthCheckRequest(service=service)):
                    seen[service].append(answer.status)
            except grpc.RpcError as error:
                codes.append(error.code())

        watchers = [threading.Thread(target=look, args=(service,)) for service in seen]
        for watcher in watchers:
            watcher.start()
        for service in seen:
            check = stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert check.status == SERVING
        with pytest.raises(grpc.RpcError) as raised:
            stub.Check(health_pb2.HealthCheckRequest(service="ktt.other"))
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        _wait_for(lambda: all(seen.values()))
        server.stop()
        for watcher in watchers:
            watcher.join(20)
    assert seen == {"": [SERVING, NOT_SERVING], NAME: [SERVING, NOT_SERVING]}
    assert codes == [grpc.StatusCode.UNAVAILABLE] * 2
    assert (server.jobs.started, server.jobs.stopped) == (1, 1)


def test_two_servers_do_not_share_a_port(start_server):
    port = int(start_server().address.rpartition(":")[2])
    with pytest.raises(InvalidArgumentError, match="is another server there"):
        start_server(replace(SETTINGS, port=port))


def test_metrics_tell_of_calls_jobs_and_the_build(start_server, connect):
    jobs = MemoryJobs()
    server = start_server(replace(SETTINGS, metrics_port=0), jobs)
    stub = connect(server.address)
    stub.GetTrainingJob(GET(id="j1"))
    with pytest.raises(grpc.RpcError):
        stub.GetTrainingJob(GET(id="nope"))
    assert _metric(server, "ktt_jobs_queued") == 1
    jobs.add(state=JobState.SUCCEEDED)
    method = f'method="/{NAME}/GetTrainingJob"'
    assert _metric(server, f'ktt_rpc_calls_total{{code="OK",{method}}}') == 1
    assert _metric(server, f'ktt_rpc_calls_total{{code="NOT_FOUND",{method}}}') == 1
    assert _metric(server, f"ktt_rpc_call_seconds_count{{{method}}}") == 2
    assert _metric(server, f"ktt_rpc_calls_in_flight{{{method}}}") == 0
    assert _metric(server, 'ktt_jobs_ended_total{kind="training",state="SUCCEEDED"}') == 1
    assert _metric(server, 'ktt_job_seconds_count{kind="training"}') == 1
    assert "_created" not in _metrics(server)
    assert _metric(server, "ktt_jobs_queued") == 0
    assert f'ktt_build_info{{grpc="{grpc.__version__}"' in _metrics(server)


def test_a_log_line_has_what_finds_the_call_and_nothing_of_the_request(
    start_server, connect, capsys
):
    from ktt_rpc.logs import JsonFormatter

    lines: list[dict] = []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(json.loads(JsonFormatter().format(record)))

    logger = logging.getLogger("ktt_rpc.calls")
    handler = Keep()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        stub = connect(start_server().address)
        stub.GetTrainingJob(GET(id="j1"), metadata=(("x-request-id", "mine-2"),))
        request = training.ListTrainingJobsRequest(dataset="a name to keep to oneself")
        stub.ListTrainingJobs(request)
        _wait_for(lambda: len(lines) == 2)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    assert lines[0]["request_id"] == "mine-2"
    assert lines[0]["job_id"] == "j1"
    assert lines[0]["code"] == "OK"
    assert lines[0]["method"] == f"/{NAME}/GetTrainingJob"
    assert lines[0]["ms"] > 0
    assert "to oneself" not in json.dumps(lines)


def _metrics(server) -> str:
    url = f"http://127.0.0.1:{server.running.metrics_port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as response:
        return response.read().decode()


def _metric(server, name: str) -> float:
    for line in _metrics(server).splitlines():
        if line.startswith(name + " "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no metric {name}")


def _wait_for(condition, seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_an_error_of_grpc_itself_gets_the_nearest_class(start_server):
    with grpc.insecure_channel(start_server().address) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary("/ktt.trainer.v1.TrainerService/Nothing")(b"", timeout=5)
    assert "another version" in str(from_rpc_error(raised.value))
