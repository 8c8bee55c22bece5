from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ktt_core.errors import UnavailableError
from ktt_rpc.probe import main, probe
from ktt_rpc.server import running_server
from ktt_rpc.settings import ServerSettings


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a self-signed certificate for a host, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


def while_serving(settings: ServerSettings, ask: Callable[[int], None]) -> None:
    """Call a function with the port of a server that runs meanwhile."""

    async def run() -> None:
        async with running_server([], settings) as address:
            await asyncio.to_thread(ask, int(address.rpartition(":")[2]))

    asyncio.run(run())


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", ""])
def test_a_server_that_serves_is_healthy(host: str) -> None:
    settings = ServerSettings(port=0, metrics_port=None)
    while_serving(settings, lambda port: probe(host, port))


def test_nobody_there_is_not_healthy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(UnavailableError, match="does not answer"):
            probe("127.0.0.1", taken.getsockname()[1], timeout=2)


@pytest.mark.parametrize("name", ["ktt.example", "*.ktt.example"])
def test_the_servers_own_certificate_is_enough(tmp_path: Path, name: str) -> None:
    cert, key = certificate(tmp_path, name)
    settings = ServerSettings(port=0, metrics_port=None, tls_cert=cert, tls_key=key)
    while_serving(settings, lambda port: probe("127.0.0.1", port, tls_cert=cert))


def test_another_certificate_is_not_healthy(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "ktt.example")
    other, _ = certificate(tmp_path, "other.example")
    settings = ServerSettings(port=0, metrics_port=None, tls_cert=cert, tls_key=key)

    def ask(port: int) -> None:
        with pytest.raises(UnavailableError, match="certificate"):
            probe("127.0.0.1", port, tls_cert=other)

    while_serving(settings, ask)


def test_a_server_that_asks_for_certificates_is_shown_one(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "ktt.example")
    mine, my_key = certificate(tmp_path, "probe.example")
    settings = ServerSettings(port=0, metrics_port=None, tls_cert=cert, tls_key=key, client_ca=mine)

    def ask(port: int) -> None:
        probe("127.0.0.1", port, tls_cert=cert, client_cert=mine, client_key=my_key)
        with pytest.raises(UnavailableError):
            probe("127.0.0.1", port, tls_cert=cert, timeout=2)

    while_serving(settings, ask)


def test_the_command_reads_the_servers_environment() -> None:
    def ask(port: int) -> None:
        environment = {"KTT_LISTEN_HOST": "0.0.0.0", "KTT_LISTEN_PORT": str(port)}
        result = CliRunner().invoke(main, [], env=environment)
        assert (result.exit_code, result.output) == (0, "serving\n")

    while_serving(ServerSettings(port=0, metrics_port=None), ask)


def test_the_command_fails_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        result = CliRunner().invoke(main, ["--port", str(taken.getsockname()[1])])
    assert result.exit_code == 1
    assert "does not answer" in result.output
    assert len(result.output.splitlines()) == 1
