"""Settings and the command line that says them are the same thing."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ktt_rpc.server_options import server_options, to_arguments
from ktt_rpc.settings import ServerSettings

SETTINGS = [
    ServerSettings(),
    ServerSettings(host="::", port=1, insecure=True, metrics_port=None, log_level="debug"),
    ServerSettings(
        tls_cert=Path("a b.pem"),
        tls_key=Path("key"),
        client_ca=Path("ca"),
        tokens_file=Path("tokens"),
        metrics_host="0.0.0.0",
        metrics_port=0,
        max_message_mb=0.5,
        rate_limit=0.0,
        max_concurrent_calls=1,
        max_watchers=2,
        idle_timeout=0.25,
        grace=0.0,
    ),
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_command_line_says_all_of_the_settings(settings: ServerSettings) -> None:
    read = []

    @click.command()
    @server_options()
    def command(settings: ServerSettings) -> None:
        read.append(settings)

    # The environment says otherwise, and is not heard.
    variables = {"KTT_METRICS": "1" if settings.metrics_port is None else "0", "KTT_GRACE": "77"}
    done = CliRunner().invoke(command, to_arguments(settings), env=variables)
    assert done.exit_code == 0, done.output
    assert read == [settings]
