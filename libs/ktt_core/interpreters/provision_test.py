"""Missing Pythons are fetched with uv according to pip's settings, once and atomically.

uv is replaced by a script in a wheel, whose hash the test pins.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ktt_core.errors import FailedPreconditionError
from ktt_core.interpreters import provision
from ktt_core.interpreters.provision import provide_interpreters
from ktt_core.interpreters.search import find_interpreter, managed_folder

# `uv python install --no-cache --no-bin --install-dir FOLDER VERSION ...`
UV = """#!/bin/sh
PATH=/usr/bin:/bin
echo "$@" >> "$HOME/uv-calls"
env | sort > "$HOME/uv-environment"
{first}
folder=$6
shift 6
for version; do
  home="$folder/cpython-$version.9-linux-x86_64-gnu"
  mkdir -p "$home/bin"
  printf '#!/bin/sh\\nexit {code}\\n' > "$home/bin/python$version"
  chmod +x "$home/bin/python$version"
done
"""
NAME = f"uv-1.2.3-py3-none-manylinux_2_17_{platform.machine()}.whl"


def wheel(folder: Path, first: str = "", code: int = 0, name: str = NAME) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("uv-1.2.3.data/scripts/uv", UV.format(first=first, code=code))
    return folder / name


def pin(*wheels: Path) -> str:
    hashes = [f"--hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in wheels]
    return " \\\n    ".join(["uv==1.2.3", *hashes]) + "\n"


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulate a machine without other Pythons, settings or a cache; return the home folder."""
    home = tmp_path / "my home"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_", "XDG_", "PYENV_", "KTT_")) or name.lower().endswith(
            "_proxy"
        ):
            monkeypatch.delenv(name)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "etc"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return home


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Pin a stand-in for uv, and configure pip to find it in a folder."""

    def use(first: str = "", code: int = 0) -> Path:
        file = wheel(tmp_path / "wheels", first, code)
        (tmp_path / "uv.txt").write_text(pin(file))
        monkeypatch.setattr(provision, "PINS", tmp_path / "uv.txt")
        monkeypatch.setenv("PIP_FIND_LINKS", file.parent.as_uri())
        return file

    return use


def calls(home: Path) -> list[str]:
    file = home / "uv-calls"
    return file.read_text().splitlines() if file.exists() else []


def test_missing_pythons_are_announced_and_fetched_only_once(
    use: Callable[..., Path], bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = use().parent
    (tmp_path / "bin").mkdir()
    here = tmp_path / "bin" / "python3.11"
    here.write_text("#!/bin/sh\n")
    here.chmod(0o755)
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", "https://me:secret@mirror.example/pythons")
    said: list[str] = []
    found = provide_interpreters(["3.9", "3.10", "3.11"], said.append)
    assert found["3.11"] == here
    assert found["3.9"] == managed_folder() / "cpython-3.9.9-linux-x86_64-gnu/bin/python3.9"
    assert calls(bare) == [
        f"python install --no-cache --no-bin --install-dir {managed_folder()} 3.9 3.10"
    ]
    (line,) = said
    for part in (
        "Python 3.9 and 3.10 are not on this machine",
        "uv 1.2.3 (18 MB)",
        wheels.as_uri(),
        "30 MB",
        "https://mirror.example/pythons",
        str(managed_folder()),
        "KTT_PYTHON_DOWNLOADS=never",
    ):
        assert part in line
    assert "secret" not in line
    assert (
        "UV_PYTHON_INSTALL_MIRROR=https://me:secret@mirror" in (bare / "uv-environment").read_text()
    )
    assert provide_interpreters(["3.9", "3.10", "3.11"], said.append) == found
    assert len(calls(bare)) == len(said) == 1


def test_never_forbids_fetching_with_alternatives(use: Callable[..., Path], bare: Path) -> None:
    use()
    os.environ["KTT_PYTHON_DOWNLOADS"] = "never"
    with pytest.raises(FailedPreconditionError) as caught:
        provide_interpreters(["3.10"])
    for way in ("pyenv install 3.10", "uv python install 3.10", "python3.10-venv"):
        assert way in str(caught.value)
    assert calls(bare) == []
    os.environ["KTT_PYTHON_DOWNLOADS"] = "nvere"
    with pytest.raises(FailedPreconditionError, match="neither `automatic`"):
        provide_interpreters(["3.10"])


def test_a_file_with_another_hash_is_not_unpacked(use: Callable[..., Path], bare: Path) -> None:
    wheel(use().parent, "echo other")
    with pytest.raises(FailedPreconditionError, match="not the file whose hash is pinned"):
        provide_interpreters(["3.10"], print)
    assert calls(bare) == []
    assert not list((bare / ".cache/ktt").glob("uv-*"))


def test_an_index_without_uv_is_named(tmp_path: Path, use: Callable[..., Path]) -> None:
    use().unlink()
    with pytest.raises(FailedPreconditionError, match=r"wheels: has no wheel of uv 1\.2\.3"):
        provide_interpreters(["3.10"], print)


def test_uv_s_message_is_the_error_with_alternatives(use: Callable[..., Path]) -> None:
    use("echo 'no route to the source' >&2; exit 2")
    with pytest.raises(FailedPreconditionError) as caught:
        provide_interpreters(["3.10"], print)
    for part in ("no route to the source", "UV_PYTHON_INSTALL_MIRROR", "pyenv install 3.10"):
        assert part in str(caught.value)


def test_a_python_that_does_not_start_is_reported(use: Callable[..., Path]) -> None:
    use(code=1)
    with pytest.raises(FailedPreconditionError, match="does not start on this machine"):
        provide_interpreters(["3.10"], print)


def test_a_cache_that_cannot_be_written_is_one_error(
    use: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(FailedPreconditionError, match="XDG_CACHE_HOME"):
        provide_interpreters(["3.10"], print)


def test_of_two_concurrent_callers_one_fetches_and_the_other_waits(
    use: Callable[..., Path], bare: Path
) -> None:
    use("sleep 0.5")
    said: list[str] = []
    threads = [
        threading.Thread(target=provide_interpreters, args=[["3.10"], said.append])
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls(bare)) == 1
    assert len([line for line in said if "waiting for another" in line]) == 2


def test_a_killed_download_is_repeated(
    use: Callable[..., Path], bare: Path, tmp_path: Path
) -> None:
    use("sleep 600")
    code = (
        "import pathlib, sys; from ktt_core.interpreters import provision; "
        "provision.PINS = pathlib.Path(sys.argv[1]); provision.provide_interpreters(['3.10'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "uv.txt")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    while not calls(bare):
        assert process.poll() is None
    os.killpg(process.pid, 9)
    process.wait()
    assert find_interpreter("3.10") is None
    uv = bare / ".cache/ktt/uv-wheel-1.2.3/uv"
    uv.write_text(uv.read_text().replace("sleep 600", ""))
    assert provide_interpreters(["3.10"], print)["3.10"].is_file()


@pytest.mark.parametrize("folder", ["pyenv", "uv", "uv's own"])
def test_pythons_of_pyenv_and_uv_are_used(
    bare: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.setenv("KTT_PYTHON_DOWNLOADS", "never")
    places = {
        "pyenv": ".pyenv/versions/3.10.13",
        "uv": ".local/share/uv/python/cpython-3.10.22-linux-x86_64-gnu",
        "uv's own": "pythons of uv/cpython-3.10.22-linux-x86_64-gnu",
    }
    if folder == "uv's own":
        monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(bare / "pythons of uv"))
    python = bare / places[folder] / "bin" / "python3.10"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    assert provide_interpreters(["3.10"], print) == {"3.10": python}


class Index(ThreadingHTTPServer):
    """A package index, also usable as a proxy, that records requests and requires a password."""

    def __init__(self, file: Path, form: str) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.file, self.form = file, form
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:  # noqa: N802
        host = self.headers["Host"]
        path = self.path.partition(f"//{host}")[2] or self.path
        authorization = self.headers.get("Authorization", "")
        self.server.asked.append((host, path, authorization))
        if path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/files")
            self.end_headers()
            return
        content, kind = self.server.file.read_bytes(), "application/octet-stream"
        if path == "/simple/uv/":
            if self.server.form == "html":
                kind = "text/html"
                content = (
                    f'<a href="../../moved/{NAME.replace("_", "%5F")}#sha256=00">no</a>'.encode()
                )
                digest = hashlib.sha256(self.server.file.read_bytes()).hexdigest()
                content += f'<a href="../../moved/{NAME}#sha256={digest}">uv</a>'.encode()
            else:
                kind = "application/vnd.pypi.simple.v1+json"
                content = (
                    f'{{"files": [{{"filename": "{NAME}", "url": "/moved", "hashes": {{}}}}]}}'
                ).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Be silent."""


@pytest.fixture(params=["html", "json"])
def index(
    request: pytest.FixtureRequest, use: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Index]:
    with Index(use(), request.param) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX"):
            monkeypatch.delenv(name)
        yield server
        server.shutdown()
        thread.join()


def basic(user: str) -> str:
    return f"Basic {base64.b64encode(user.encode()).decode()}"


def test_only_the_index_gets_its_password(index: Index, bare: Path) -> None:
    os.environ["PIP_INDEX_URL"] = f"http://me%40x:se%3Acret@{index.address}/simple"
    said: list[str] = []
    provide_interpreters(["3.10"], said.append)
    assert "cret" not in "".join(said)
    mine, others = basic("me@x:se:cret"), f"localhost:{index.server_address[1]}"
    assert index.asked[0] == (index.address, "/simple/uv/", mine)
    assert index.asked[1][2] == mine
    # The host of the redirection is not the index.
    assert index.asked[2] == (others, "/files", "")


@pytest.mark.parametrize("netrc", [False, True])
def test_a_password_for_https_is_not_sent_over_http(index: Index, bare: Path, netrc: bool) -> None:
    if netrc:
        (bare / ".netrc").write_text("machine localhost login me password secret\n")
        (bare / ".netrc").chmod(0o600)
    os.environ["PIP_INDEX_URL"] = f"https://me:secret@{index.address}/simple"
    os.environ["PIP_FIND_LINKS"] = f"http://{index.address}/simple/uv/"
    provide_interpreters(["3.10"], print)
    # The page at the index's URL, the file there, and the target of its redirection.
    assert len(index.asked) == 3
    assert {authorization for *_, authorization in index.asked} == {""}


def test_the_password_may_be_in_netrc_and_the_index_in_pip_s_configuration(
    index: Index, bare: Path
) -> None:
    (bare / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (bare / ".netrc").chmod(0o600)
    (bare / ".config/pip").mkdir(parents=True)
    (bare / ".config/pip/pip.conf").write_text(
        f"[global]\nindex-url = http://{index.address}/simple/\n"
    )
    provide_interpreters(["3.10"], print)
    assert index.asked[0] == (index.address, "/simple/uv/", basic("me:secret"))


@pytest.mark.parametrize("setting", ["http_proxy", "PIP_PROXY"])
def test_a_proxy_is_used_except_for_excluded_hosts(
    index: Index, bare: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv(setting, f"http://{index.address}")
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.example/simple")
    monkeypatch.setenv("NO_PROXY", "localhost")
    provide_interpreters(["3.10"], print)
    assert index.asked[0][:2] == ("index.example", "/simple/uv/")
    if setting == "PIP_PROXY":
        assert f"HTTPS_PROXY=http://{index.address}" in (bare / "uv-environment").read_text()
