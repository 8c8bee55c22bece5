from dataclasses import replace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ktt.trainer.v1 import training_pb2 as training
from ktt_core.errors import AuthenticationError, InvalidArgumentError, UnavailableError
from ktt_rpc import client_calls
from ktt_rpc.conftest import SETTINGS

GET = training.GetTrainingJobRequest(id="j1")
TOKEN = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


@pytest.fixture
def tls(authority):
    certificate, key = authority.issue("server")
    return replace(SETTINGS, tls_cert=certificate, tls_key=key)


@pytest.fixture
def tokens(secret_file):
    return replace(SETTINGS, tokens_file=secret_file(f"# of the team\n{TOKEN}\n\n{OTHER}\n"))


def get(stub):
    return client_calls.call(stub.GetTrainingJob, GET, patience=1).training_job.id


@pytest.mark.parametrize("token", [TOKEN, OTHER])
def test_who_shows_one_of_the_tokens_may_call(start_server, connect, tokens, token):
    assert get(connect(start_server(tokens).address, token=token)) == "j1"


def test_a_token_is_read_from_a_file(start_server, connect, tokens, secret_file):
    file = secret_file(TOKEN + "\n", "mine")
    assert get(connect(start_server(tokens).address, token_file=file)) == "j1"


def test_without_a_token_nothing_is_answered(start_server, connect, tokens):
    server = start_server(tokens)
    with pytest.raises(AuthenticationError, match="requires a token"):
        get(connect(server.address))
    with pytest.raises(AuthenticationError), client_calls.ktt_errors():
        list(connect(server.address).WatchTrainingJob(training.WatchTrainingJobRequest(id="j1")))


@pytest.mark.parametrize("token", [TOKEN[:-1], TOKEN + "0", "x" * 32, TOKEN.upper(), "~" * 16])
def test_a_wrong_token_is_refused(start_server, connect, tokens, token):
    with pytest.raises(AuthenticationError):
        get(connect(start_server(tokens).address, token=token))


def test_another_scheme_than_bearer_is_refused(start_server, connect, tokens):
    stub = connect(start_server(tokens).address)
    for value in (TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer "):
        with pytest.raises(grpc.RpcError) as raised:
            stub.GetTrainingJob(GET, metadata=(("authorization", value),))
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_health_is_told_without_a_token_and_reflection_is_not(start_server, tokens):
    with grpc.insecure_channel(start_server(tokens).address) as channel:
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        with pytest.raises(grpc.RpcError) as raised:
            next(ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")])))
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_tls_with_the_right_authority_works(start_server, connect, tls, authority):
    port = start_server(tls).address.rpartition(":")[2]
    assert get(connect(f"localhost:{port}", ca_cert=authority.cert)) == "j1"
    assert get(connect(f"127.0.0.1:{port}", ca_cert=authority.cert)) == "j1"


def test_plain_text_to_a_server_with_tls_gets_nothing(start_server, connect, tls):
    with pytest.raises(UnavailableError, match="require TLS"):
        get(connect(start_server(tls).address))


def test_tls_to_a_server_without_it_is_told(start_server, connect, authority):
    with pytest.raises(UnavailableError, match="does not use TLS"):
        get(connect(start_server().address, ca_cert=authority.cert))


def test_an_authority_that_signed_nothing_here_is_told(start_server, connect, tls, stranger):
    with pytest.raises(UnavailableError, match="not signed by a trusted CA"):
        get(connect(start_server(tls).address, ca_cert=stranger.cert))


def test_an_expired_certificate_is_not_trusted(start_server, connect, authority):
    certificate, key = authority.issue("expired", days=(-3, -1))
    server = start_server(replace(SETTINGS, tls_cert=certificate, tls_key=key))
    with pytest.raises(UnavailableError, match="has expired"):
        get(connect(server.address, ca_cert=authority.cert))


def test_a_certificate_of_another_host_is_not_trusted(start_server, connect, authority):
    certificate, key = authority.issue("elsewhere", hosts=("elsewhere.example",))
    server = start_server(replace(SETTINGS, tls_cert=certificate, tls_key=key))
    with pytest.raises(UnavailableError, match="another name"):
        get(connect(server.address, ca_cert=authority.cert))
    stub = connect(server.address, ca_cert=authority.cert, server_name="elsewhere.example")
    assert get(stub) == "j1"


class TestMutualTls:
    @pytest.fixture
    def server(self, start_server, tls, authority):
        return start_server(replace(tls, client_ca=authority.cert))

    def test_a_client_with_a_certificate_may_call(self, server, connect, authority):
        certificate, key = authority.issue("client")
        stub = connect(
            server.address, ca_cert=authority.cert, client_cert=certificate, client_key=key
        )
        assert get(stub) == "j1"

    def test_a_client_without_one_gets_no_connection(self, server, connect, authority):
        with pytest.raises(UnavailableError, match="client certificate"):
            get(connect(server.address, ca_cert=authority.cert))

    def test_a_stranger_s_certificate_is_refused(self, server, connect, authority, stranger):
        certificate, key = stranger.issue("client")
        with pytest.raises(UnavailableError):
            get(
                connect(
                    server.address, ca_cert=authority.cert, client_cert=certificate, client_key=key
                )
            )

    def test_an_expired_one_is_refused(self, server, connect, authority):
        certificate, key = authority.issue("late", days=(-3, -1))
        with pytest.raises(UnavailableError):
            get(
                connect(
                    server.address, ca_cert=authority.cert, client_cert=certificate, client_key=key
                )
            )


class TestFiles:
    def test_a_key_of_another_certificate_is_refused_at_the_start(self, start_server, authority):
        certificate, _ = authority.issue("one")
        _, key = authority.issue("two")
        with pytest.raises(InvalidArgumentError, match="KEY_VALUES_MISMATCH"):
            start_server(replace(SETTINGS, tls_cert=certificate, tls_key=key))

    def test_files_that_hold_no_certificates_are_refused(
        self, start_server, authority, secret_file
    ):
        certificate, key = authority.issue("server")
        junk = secret_file("no certificate\n", "junk")
        with pytest.raises(InvalidArgumentError, match="must be PEM"):
            start_server(replace(SETTINGS, tls_cert=junk, tls_key=key))
        with pytest.raises(InvalidArgumentError, match="--client-ca"):
            start_server(replace(SETTINGS, tls_cert=certificate, tls_key=key, client_ca=junk))

    def test_a_key_that_everybody_may_read_is_refused(self, start_server, authority):
        certificate, key = authority.issue("open")
        key.chmod(0o644)
        with pytest.raises(InvalidArgumentError, match=r"every user .*\(chmod 600"):
            start_server(replace(SETTINGS, tls_cert=certificate, tls_key=key))

    def test_a_token_file_that_everybody_may_read_is_refused(self, start_server, secret_file):
        file = secret_file(TOKEN, mode=0o604)
        with pytest.raises(InvalidArgumentError, match=r"every user .*\(chmod 600"):
            start_server(replace(SETTINGS, tokens_file=file))

    @pytest.mark.parametrize(
        ("content", "why"),
        [
            ("", "empty"),
            ("# nothing\n", "no token"),
            ("short\n", "line 1: a token of 5"),
            (TOKEN + "\ntwo words that are long enough\n", "line 2: a token has no blanks"),
            ("ü" * 32, "not ASCII"),
        ],
    )
    def test_a_token_file_of_nonsense_is_refused(self, start_server, secret_file, content, why):
        with pytest.raises(InvalidArgumentError, match=why):
            start_server(replace(SETTINGS, tokens_file=secret_file(content)))

    def test_a_file_that_is_not_there_is_refused(self, start_server, tmp_path):
        with pytest.raises(InvalidArgumentError, match="cannot be read"):
            start_server(replace(SETTINGS, tokens_file=tmp_path / "nowhere"))
        with pytest.raises(InvalidArgumentError, match="folder"):
            start_server(replace(SETTINGS, tokens_file=tmp_path))


@pytest.mark.parametrize("token", ["é" * 16, "two words", "line\nbreak", "nul\0"])
def test_what_can_be_no_token_is_refused_before_it_is_sent(connect, token):
    with pytest.raises(InvalidArgumentError, match="token"):
        connect("127.0.0.1:1", token=token)
