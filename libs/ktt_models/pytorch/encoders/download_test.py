"""An encoder is fetched from a hub: here one on this machine, with what the real one answers."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ktt_core.errors import UnavailableError
from ktt_models.pytorch.encoders import find_encoder, list_encoders
from ktt_models.pytorch.encoders.tiny import write_tiny_tokenizer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.BaseHTTPRequestHandler):
    """Has one repository, ``maker/small``, with the files of the server's `folder`."""

    server: Any

    def do_GET(self):  # noqa: N802
        self.server.asked.append((self.command, self.path))
        path = self.path.split("?")[0]
        files = {file.name: file for file in self.server.folder.iterdir()}
        if path.startswith("/api/models/maker/small/tree/"):
            entries = [
                {"type": "file", "path": name, "oid": "0" * 40, "size": file.stat().st_size}
                for name, file in files.items()
            ]
            self.answer(json.dumps(entries).encode(), {"Content-Type": "application/json"})
        elif path.startswith("/api/models/maker/small"):
            siblings = [{"rfilename": name} for name in sorted(files)]
            about = {"id": "maker/small", "sha": COMMIT, "siblings": siblings}
            self.answer(json.dumps(about).encode(), {"Content-Type": "application/json"})
        elif path.startswith("/maker/small/resolve/") and (name := path.split("/")[-1]) in files:
            content = files[name].read_bytes()
            tag = hashlib.sha256(content).hexdigest()
            self.answer(content, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})
        else:
            self.send_error(404)

    do_HEAD = do_GET  # noqa: N815

    def answer(self, content, headers):
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "KTT_ENCODERS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    # Read from the environment only once, and tests run with it.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.folder = tmp_path / "served"
    write_tiny_tokenizer(server.folder, ["red shoes"])
    (server.folder / "config.json").write_text('{"model_type": "bert", "hidden_size": 8}')
    save_file({"a": np.zeros(8, np.float32)}, server.folder / "model.safetensors")
    server.asked = []
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_encoder_is_fetched_once_and_then_found_without_the_hub(hub):
    (hub.folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (hub.folder / "modeling_own.py").write_text("raise SystemExit")
    folder = find_encoder("maker/small", download=True)
    fetched = {file.name for file in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= fetched
    assert not {"pytorch_model.bin", "modeling_own.py"} & fetched
    hub.asked.clear()
    assert find_encoder("maker/small", download=True) == folder
    assert find_encoder("maker/small") == folder
    assert hub.asked == []
    assert {entry.name: entry.path for entry in list_encoders()}["maker/small"] == folder


def test_nothing_is_fetched_unasked(hub):
    with pytest.raises(Exception, match="--download"):
        find_encoder("maker/small")
    assert hub.asked == []


def test_a_name_the_hub_does_not_know_is_told(hub):
    with pytest.raises(UnavailableError, match="refused the encoder 'maker/other'.*404"):
        find_encoder("maker/other", download=True)
