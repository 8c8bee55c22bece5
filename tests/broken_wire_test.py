"""`ktt` and real services with a wire between them that breaks."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import run
from conftest import COLUMNS, Ktt, Server, Services, rows


class Wire:
    """Passes bytes on to a server, and breaks once after some of them.

    Parameters
    ----------
    server : Server
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._listener = socket.create_server(("localhost", 0))
        self.address = f"localhost:{self._listener.getsockname()[1]}"
        self.connections = 0
        self._left: dict[str, int] = {}
        threading.Thread(target=self._accept, daemon=True).start()

    def break_after(self, sent: int = 0, received: int = 0) -> None:
        """Break when so many more bytes were sent to the server, or came from it."""
        self._left = {"sent": sent} if sent else {"received": received}

    @property
    def broken(self) -> bool:
        """Whether it has broken as it was told to."""
        return not self._left

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            upstream = socket.create_connection(("localhost", self._server.port))
            for way, source, target in (("sent", client, upstream), ("received", upstream, client)):
                threading.Thread(target=self._pass, args=(way, source, target), daemon=True).start()

    def _pass(self, way: str, source: socket.socket, target: socket.socket) -> None:
        # Whatever ends one way ends the other.
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                if way in self._left:
                    self._left[way] -= len(data)
                    if self._left[way] <= 0:
                        self._left = {}
                        break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wires(services: Services) -> Iterator[tuple[Wire, Wire]]:
    made = Wire(services.trainer), Wire(services.exporter)
    yield made
    for wire in made:
        wire.close()


def call(wires: tuple[Wire, Wire], *arguments: object) -> int:
    addresses = ["--address", wires[0].address, "--exporter-address", wires[1].address]
    return run([*addresses, *map(str, arguments)])


def test_a_file_arrives_over_a_wire_that_breaks(
    wires: tuple[Wire, Wire], remote: Ktt, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "large.csv"
    padding = "x" * 4000
    with source.open("w") as file:
        file.write("title,category,more\n")
        file.writelines(f"{text},{' > '.join(path)},{padding}\n" for text, path in rows(4000))
    wires[0].break_after(sent=7_000_000)
    assert call(wires, "data", "import", source, "large", *COLUMNS) == 0
    assert wires[0].broken
    assert wires[0].connections == 2
    assert "lost the connection" in capfd.readouterr().err
    sizes = remote("data", "show", "large", "--json").json["sizes"]
    assert sum(sizes.values()) == 4000
    assert remote("data", "delete", "large", "--yes").code == 0


def test_watching_over_a_wire_that_breaks_misses_nothing(
    wires: tuple[Wire, Wire], remote: Ktt, remote_shop: str, capfd: pytest.CaptureFixture[str]
) -> None:
    job = remote("train", "shop", "-m", "tfidf_hsgd", "-e", "300", "--detach").out.strip()
    wires[0].break_after(received=1200)
    assert call(wires, "jobs", "watch", job, "--json") == 0
    assert wires[0].broken
    events = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert [event["state"] for event in events if event["state"]] == [
        "QUEUED",
        "RUNNING",
        "SUCCEEDED",
    ]


def test_an_export_is_fetched_over_a_wire_that_breaks(
    wires: tuple[Wire, Wire], remote: Ktt, trained: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert remote("export", "shop", "-m", "tfidf_hsgd", "--output", "whole").code == 0
    job = remote("jobs", "list", "--kind", "export", "-n", "1", "--json").json[0]["id"]
    wires[1].break_after(received=120_000)
    assert call(wires, "jobs", "fetch", job, "--output", "fetched") == 0
    assert wires[1].broken
    assert wires[1].connections == 2
    whole, fetched = (Path(place, "tfidf_hsgd_shop") for place in ("whole", "fetched"))
    files = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    assert all((whole / file).read_bytes() == (fetched / file).read_bytes() for file in files)
