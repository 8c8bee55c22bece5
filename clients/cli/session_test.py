"""What the global options mean together."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from cli.session import Session, connection_options, session_of


def session(*arguments: str) -> Session:
    found: list[Session] = []

    @click.command()
    @click.option("--workspace", type=Path, default=Path("workspace"), envvar="KTT_WORKSPACE")
    @connection_options
    @click.pass_context
    def command(context: click.Context, /, **options: object) -> None:
        found.append(session_of(context))

    command.main(list(arguments), standalone_mode=False)
    return found[0]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KTT_ADDRESS", "KTT_EXPORTER_ADDRESS", "KTT_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


def test_without_an_address_the_workspace_is_worked_on() -> None:
    assert session() == Session(Path("workspace"))
    assert session("--workspace", "there").workspace == Path("there")


@pytest.mark.parametrize(
    ("arguments", "trainer", "exporter"),
    [
        (["--address", "localhost"], "localhost:50051", "localhost:50052"),
        (["--address", "gpu1:6000"], "gpu1:6000", "gpu1:50052"),
        (["--address", "[::1]:6000"], "[::1]:6000", "[::1]:50052"),
        (["--address", "[::1]"], "[::1]:50051", "[::1]:50052"),
        (["--address", "a:1", "--exporter-address", "b"], "a:1", "b:50052"),
        (["--address", "a:1", "--exporter-address", "b:2"], "a:1", "b:2"),
    ],
)
def test_ports_and_the_exporter_have_defaults(
    arguments: list[str], trainer: str, exporter: str
) -> None:
    connection = session(*arguments).connection
    assert connection is not None
    assert (connection.trainer, connection.exporter) == (trainer, exporter)
    assert connection.exporter_named == ("--exporter-address" in arguments)


@pytest.mark.parametrize(
    "address",
    [
        "host:",
        "host:0",
        "host:65536",
        "host:x",
        ":50051",
        "::1",
        "http://host",
        "u@host",
        "a b",
        "host:50051/x",
        "[::1",
        "host:²",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(click.UsageError):
        session("--address", address)


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KTT_ADDRESS", "far:1")
    assert session().connection is not None
    assert session("--workspace", "here") == Session(Path("here"))
    assert session("--address", "").connection is None
    monkeypatch.setenv("KTT_WORKSPACE", "here")
    assert session().connection is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ["--address", "a", "--workspace", "w"],
        ["--exporter-address", "a"],
        ["--address", "a", "--insecure", "--tls"],
        ["--address", "a", "--client-cert", __file__],
        ["--address", "a", "--client-key", __file__],
        ["--address", "a", "--ca-cert", "/no/such/file"],
        ["--address", "a", "--timeout", "0"],
        ["--address", "a", "--reconnect", "-1"],
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError):
        session(*arguments)
