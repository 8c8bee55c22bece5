"""The whole of `serve`, in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ktt.trainer.v1 import trainer_service_pb2_grpc as trainer_grpc
from ktt.trainer.v1 import training_pb2 as training

SCRIPT = textwrap.dedent("""
    import os
    import sys
    import click
    from ktt_rpc.server_options import server_options

    @click.command()
    @server_options()
    def main(settings):
        from ktt_rpc.conftest import NAME, MemoryJobs, Servicer, trainer_grpc
        from ktt_rpc.server import ServiceSpec, serve

        add = trainer_grpc.add_TrainerServiceServicer_to_server
        jobs = MemoryJobs()
        fail = (lambda: 1 / 0) if os.environ.get("FAIL") else None
        specs = [ServiceSpec(add, Servicer(jobs), NAME)]
        code = serve(specs, settings, jobs=jobs, on_start=fail)
        print("jobs", jobs.started, jobs.stopped)
        sys.exit(code)

    main()
    """)


class Program:
    def __init__(self, folder, *arguments, env=None):
        self._log = folder / f"{uuid.uuid4().hex}.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT, *arguments],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(env or {})},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    @property
    def lines(self) -> list[dict]:
        """All it has logged: every line is JSON, whoever wrote it."""
        return [json.loads(line) for line in self._log.read_text().splitlines(keepends=True)]

    def address(self) -> str:
        ends = time.monotonic() + 20
        while not self._log.read_text().endswith("\n"):
            assert time.monotonic() < ends
            time.sleep(0.02)
        return self.lines[0]["address"]

    def end(self, number=None) -> int:
        if number is not None:
            self.process.send_signal(number)
        self.out, _ = self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture
def program(tmp_path):
    started: list[Program] = []

    def start(*arguments, **options):
        started.append(Program(tmp_path, *arguments, **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_streams_and_jobs_in_order_and_the_exit_code_is_0(program, number):
    server = program("--port", "0", "--no-metrics", "--grace", "2")
    address = server.address()
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        stub = trainer_grpc.TrainerServiceStub(channel)
        events = stub.WatchTrainingJob(training.WatchTrainingJobRequest(id="j1"))
        slow = stub.GetTrainingJob.future(training.GetTrainingJobRequest(id="slow"))
        assert next(health).status == health_pb2.HealthCheckResponse.SERVING
        assert next(events).event.sequence == 1
        began = time.monotonic()
        server.process.send_signal(number)
        assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.RpcError) as raised:
            next(events)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "server is stopping" in raised.value.details()
        assert slow.exception() is not None
    assert server.end() == 0
    assert time.monotonic() - began < 20
    assert server.out.split() == ["jobs", "1", "1"]
    assert server.lines[-1]["message"] == "stopped"


def test_a_second_signal_ends_the_waiting(program):
    server = program("--port", "0", "--no-metrics", "--grace", "60")
    with grpc.insecure_channel(server.address()) as channel:
        stub = trainer_grpc.TrainerServiceStub(channel)
        slow = stub.GetTrainingJob.future(training.GetTrainingJobRequest(id="slow"))
        time.sleep(0.3)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert server.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 20
        assert slow.exception() is not None


def test_plain_text_for_everybody_is_refused_with_three_ways_out(program):
    server = program("--host", "0.0.0.0", "--port", "0", "--no-metrics")
    assert server.end() == 2
    (line,) = server.lines
    assert line["level"] == "error"
    for way in ("--host 127.0.0.1", "--tls-cert FILE --tls-key FILE", "--insecure"):
        assert way in line["message"]


def test_plain_text_for_everybody_is_possible_and_warned_of(program):
    server = program("--host", "0.0.0.0", "--port", "0", "--no-metrics", "--insecure")
    server.address()
    server.end(signal.SIGTERM)
    assert [line["level"] for line in server.lines[:2]] == ["info", "warning"]


def test_a_port_that_is_taken_ends_it_with_a_line(program):
    first = program("--port", "0", "--no-metrics")
    port = first.address().rpartition(":")[2]
    second = program("--port", port, "--no-metrics")
    assert second.end() == 2
    assert "is another server there" in second.lines[-1]["message"]
    assert second.out.split() == ["jobs", "0", "0"]
    first.end(signal.SIGTERM)


def test_what_fails_at_the_start_leaves_nothing_running(program):
    server = program("--port", "0", "--no-metrics", env={"FAIL": "1"})
    assert server.end() == 1
    assert server.out.split() == ["jobs", "1", "1"]
    assert "ZeroDivisionError" in server.lines[-1]["traceback"]


def test_a_handshake_that_fails_makes_no_line_of_another_form(program, authority):
    certificate, key = authority.issue("server")
    server = program(
        *("--port", "0", "--no-metrics", "--tls-cert", str(certificate), "--tls-key", str(key))
    )
    with grpc.insecure_channel(server.address()) as channel:
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/a/b")(b"", timeout=2)
    assert server.end(signal.SIGTERM) == 0
