"""Requests that cannot be read are refused like any other that is wrong, logged and counted."""

import logging
import time
import urllib.request
from dataclasses import replace

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from ktt.trainer.v1 import datasets_pb2 as datasets
from ktt.trainer.v1 import training_pb2 as training
from ktt_rpc.conftest import NAME, SETTINGS

REFLECTION = "grpc.reflection.v1alpha.ServerReflection"


def message(number: int, content: bytes) -> bytes:
    """Return the bytes of a field that holds bytes."""
    length, encoded = len(content), b""
    while length >= 0x80:
        encoded, length = encoded + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([number << 3 | 2]) + encoded + bytes([length]) + content


def nested(depth: int) -> bytes:
    """Return a CreateTrainingJobRequest whose hyperparameters are nested."""
    value = b""
    for _ in range(depth):
        # Struct.fields = {"": Value(struct_value=...)}
        value = message(1, message(2, message(5, value)))
    return message(1, message(3, value))


def test_the_bytes_above_are_such_a_request():
    spec = training.CreateTrainingJobRequest.FromString(nested(2)).spec
    assert [field.name for field, _ in spec.ListFields()] == ["hyperparameters"]
    assert spec.hyperparameters.fields[""].struct_value.fields[""].HasField("struct_value")


NO_MESSAGE = b"\xff\xff"
REQUESTS = [NO_MESSAGE, b"\x0a\x05ab", message(1, message(1, b"\xff\xfe")), nested(200)]


@pytest.mark.parametrize(
    ("kind", "method", "data"),
    [
        *(("unary_unary", f"/{NAME}/CreateTrainingJob", data) for data in REQUESTS),
        ("unary_stream", f"/{NAME}/WatchTrainingJob", NO_MESSAGE),
        ("stream_unary", f"/{NAME}/WriteUpload", NO_MESSAGE),
        ("stream_stream", f"/{REFLECTION}/ServerReflectionInfo", NO_MESSAGE),
    ],
)
def test_what_cannot_be_read_is_an_invalid_argument(
    start_server, connect, caplog, kind, method, data
):
    caplog.set_level(logging.INFO, "ktt_rpc.calls")
    server = start_server(replace(SETTINGS, metrics_port=0))
    with grpc.insecure_channel(server.address) as channel:
        call = getattr(channel, kind)(method)
        with pytest.raises(grpc.RpcError) as raised:
            answer = call(iter([data]) if kind.startswith("stream") else data, timeout=10)
            list(answer if kind.endswith("stream") else [answer])
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "cannot be read" in raised.value.details()
    details = rpc_status.from_call(raised.value).details
    assert any(detail.Is(ErrorInfo.DESCRIPTOR) for detail in details)
    # The call ends for the client first, and for the server moments later.
    end = time.monotonic() + 10
    while not (ended := [record for record in caplog.records if hasattr(record, "code")]):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert [record.code for record in ended] == ["INVALID_ARGUMENT"]
    url = f"http://127.0.0.1:{server.running.metrics_port}/metrics"
    with urllib.request.urlopen(url) as response:
        metrics = response.read().decode()
    assert f'ktt_rpc_calls_total{{code="INVALID_ARGUMENT",method="{method}"}} 1.0' in metrics
    # Those that can be read are.
    sent = iter([datasets.WriteUploadRequest(chunk=b"x")] * 3)
    assert connect(server.address).WriteUpload(sent).upload.committed_bytes == 3
