"""`ktt` and servers that want encryption, certificates and tokens: what it says and needs."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cli.main import run
from conftest import Outcome, Server, running

TOKEN = "0123456789abcdef0123456789abcdef"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates into a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._build(self.name, self.key, [], NOW + DAY, authority=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def sign(self, name: str, *hosts: str, until: datetime.datetime = NOW + DAY) -> list[Path]:
        """Return the files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._build(subject, key, list(hosts), until, authority=False)
        files = [self.folder / f"{name}.pem", self.folder / f"{name}.key"]
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        files[1].chmod(0o600)
        return files

    def _build(
        self, subject: Any, key: Any, hosts: list[str], until: Any, authority: bool
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 10 * DAY)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if hosts:
            names: list[Any] = [
                (
                    x509.IPAddress(ipaddress.ip_address(host))
                    if host[0].isdigit()
                    else x509.DNSName(host)
                )
                for host in hosts
            ]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trust")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


def token_file(folder: Path, text: str, name: str) -> Path:
    file = folder / name
    file.write_text(text + "\n")
    file.chmod(0o600)
    return file


@pytest.fixture(scope="module")
def guarded(folder: Path, authority: Authority) -> Iterator[Server]:
    """Serve with TLS and a token; the certificate is for localhost only."""
    certificate, key = authority.sign("server", "localhost")
    tokens = token_file(folder, TOKEN, "tokens")
    options = ["--tls-cert", str(certificate), "--tls-key", str(key), "--tokens-file", str(tokens)]
    server = Server("trainer", folder / "guarded", *options)
    with running(server):
        yield server


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Any:
    def call(server: Server, *options: object, host: str = "localhost") -> Outcome:
        capfd.readouterr()
        address = f"{host}:{server.port}"
        code = run(["--address", address, *map(str, options), "data", "list", "--json"])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        assert TOKEN not in captured.err
        return Outcome(code, captured.out, captured.err)

    return call


def test_with_trust_and_token_all_is_as_ever(
    call: Any, guarded: Server, authority: Authority, folder: Path
) -> None:
    token = token_file(folder, TOKEN, "token")
    done = call(guarded, "--ca-cert", authority.file, "--token-file", token)
    assert (done.code, done.out.strip()) == (0, "[]"), done.err


def test_settings_come_from_the_environment(
    call: Any,
    guarded: Server,
    authority: Authority,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KTT_CA_CERT", str(authority.file))
    monkeypatch.setenv("KTT_TOKEN_FILE", str(token_file(folder, TOKEN, "token")))
    assert call(guarded).code == 0


def test_without_the_token_or_with_another_nobody_comes_in(
    call: Any, guarded: Server, authority: Authority, folder: Path
) -> None:
    trust = ("--ca-cert", authority.file)
    assert call(guarded, *trust).code == 6
    wrong = token_file(folder, TOKEN[::-1], "wrong")
    assert call(guarded, *trust, "--token-file", wrong).code == 6
    empty = token_file(folder, "", "empty")
    assert call(guarded, *trust, "--token-file", empty).code == 2


def test_another_authority_is_not_trusted(
    call: Any, guarded: Server, tmp_path: Path, folder: Path
) -> None:
    token = token_file(folder, TOKEN, "token")
    stranger = Authority(tmp_path, "stranger")
    refused = call(guarded, "--ca-cert", stranger.file, "--token-file", token)
    assert refused.code == 7
    assert "certificate" in refused.err.lower()
    assert call(guarded, "--tls", "--token-file", token).code == 7


def test_the_name_must_be_that_of_the_certificate(
    call: Any, guarded: Server, authority: Authority, folder: Path
) -> None:
    known = ("--ca-cert", authority.file, "--token-file", token_file(folder, TOKEN, "token"))
    assert call(guarded, *known, host="127.0.0.1").code == 7
    assert call(guarded, *known, "--server-name", "localhost", host="127.0.0.1").code == 0


def test_plain_text_is_refused_on_both_sides(call: Any, guarded: Server, folder: Path) -> None:
    assert call(guarded, "--token-file", token_file(folder, TOKEN, "token")).code == 7
    refused = call(guarded, host="192.0.2.1")
    assert refused.code == 2
    assert "--tls" in refused.err
    assert "--insecure" in refused.err


def test_an_expired_certificate_is_refused(call: Any, folder: Path, authority: Authority) -> None:
    certificate, key = authority.sign("expired", "localhost", until=NOW - DAY)
    server = Server(
        "trainer", folder / "expired_ws", "--tls-cert", str(certificate), "--tls-key", str(key)
    )
    try:
        server.start()
    except AssertionError:
        assert "expired" in server.log
        return
    try:
        refused = call(server, "--ca-cert", authority.file)
        assert refused.code == 7
        assert "expired" in refused.err.lower() or "certificate" in refused.err.lower()
    finally:
        server.stop()


def test_a_server_that_asks_for_certificates_gets_ours(
    call: Any, folder: Path, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.sign("mutual", "localhost")
    options = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    server = Server("trainer", folder / "mutual_ws", *options, "--client-ca", str(authority.file))
    ours = authority.sign("client")
    theirs = Authority(tmp_path, "stranger").sign("client")
    trust = ("--ca-cert", authority.file)
    with running(server):
        known = call(server, *trust, "--client-cert", ours[0], "--client-key", ours[1])
        assert known.code == 0, known.err
        assert call(server, *trust).code == 7
        assert call(server, *trust, "--client-cert", theirs[0], "--client-key", theirs[1]).code == 7
        mixed = call(server, *trust, "--client-cert", ours[0], "--client-key", theirs[1])
        assert mixed.code == 2
