from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ktt_core.errors import InvalidArgumentError
from ktt_rpc.channel import ClientSettings
from ktt_rpc.server_options import server_options
from ktt_rpc.settings import ServerSettings

FILE = Path("some.pem")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "unix:/tmp/s"])
def test_plain_text_is_fine_where_nobody_else_reaches(host):
    ServerSettings(host=host).check()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "ktt.example"])
def test_elsewhere_it_needs_tls_or_to_be_asked_for(host):
    with pytest.raises(InvalidArgumentError, match=r"--host 127.*--tls-cert.*--insecure"):
        ServerSettings(host=host).check()
    ServerSettings(host=host, insecure=True).check()
    ServerSettings(host=host, tls_cert=FILE, tls_key=FILE).check()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tls_cert": FILE}, "--tls-key is missing"),
        ({"tls_key": FILE}, "--tls-cert is missing"),
        ({"client_ca": FILE}, "needs TLS"),
        ({"max_message_mb": 0}, "--max-message-mb"),
        ({"max_message_mb": 4096}, "2048"),
        ({"max_message_mb": float("nan")}, "--max-message-mb"),
        ({"rate_limit": -1}, "--rate-limit"),
        ({"max_concurrent_calls": 0}, "--max-concurrent-calls"),
        ({"max_watchers": 0}, "--max-watchers"),
        ({"grace": float("inf")}, "--grace"),
        ({"idle_timeout": 0}, "--idle-timeout"),
        ({"host": ""}, "--host ''.*empty"),
        ({"host": "unix:"}, "--host 'unix:'.*empty"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, why):
    with pytest.raises(InvalidArgumentError, match=why):
        replace(ServerSettings(), **changes).check()


@click.command()
@click.option("--other", default="x")
@server_options(default_port=50052)
def _command(other: str, settings: ServerSettings) -> None:
    click.echo(f"{other} {settings}")


def test_the_options_make_the_settings():
    result = CliRunner().invoke(
        _command, ["--host", "::", "--insecure", "--tokens-file", "t", "--rate-limit", "7.5"]
    )
    wanted = ServerSettings(
        host="::",
        port=50052,
        insecure=True,
        tokens_file=Path("t"),
        rate_limit=7.5,
        metrics_port=9465,
    )
    assert result.output == f"x {wanted}\n"


def test_every_option_is_explained_with_its_environment_variable_and_can_be_set_by_it():
    help_text = CliRunner().invoke(_command, ["--help"]).output
    for parameter in _command.params:
        if parameter.name != "other":
            assert parameter.help
            assert f"env var: {parameter.envvar}" in " ".join(help_text.split())
    environment = {"KTT_LISTEN_HOST": "::1", "KTT_LISTEN_PORT": "7", "KTT_METRICS": "0"}
    output = CliRunner(env=environment).invoke(_command, []).output
    assert output == f"x {ServerSettings(host='::1', port=7, metrics_port=None)}\n"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (ClientSettings("other.example:1"), r"--tls.*--ca-cert.*--insecure"),
        (ClientSettings("10.0.0.1:1"), "another machine"),
        (ClientSettings("127.0.0.1.example.org:1"), "another machine"),
        (ClientSettings(""), "HOST:PORT"),
        (ClientSettings("localhost"), "port is missing"),
        (ClientSettings("localhost:1", client_cert=FILE), "go together"),
        (ClientSettings("localhost:1", tls=True, insecure=True), "one of them"),
        (ClientSettings("localhost:1", token="t", token_file=FILE), "one of them"),
    ],
)
def test_a_client_s_settings_that_cannot_be_are_refused(settings, why):
    with pytest.raises(InvalidArgumentError, match=why):
        settings.check()


@pytest.mark.parametrize(
    "settings",
    [
        ClientSettings("localhost:1"),
        ClientSettings("[::1]:1"),
        ClientSettings("unix:/tmp/s"),
        ClientSettings("other.example:1", insecure=True),
        ClientSettings("other.example:1", tls=True),
        ClientSettings("other.example:1", ca_cert=FILE),
    ],
)
def test_a_client_s_settings_that_can_be_pass(settings):
    settings.check()
