"""No pin is below a known fix without a reason, and the list is refreshed from a database."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.version import Version

from advisories.audit import AuditError, main, refresh
from advisories.listing import (
    LIST,
    PAGE,
    Accepted,
    Advisory,
    Listing,
    all_pins,
    page_with_table,
    pinned_files,
    problems,
    read_listing,
    write_listing,
)

FAULT = Advisory("urllib3", "CVE-2021-33503", "1.25.11", "1.26.5", confirmed=False)
OTHER = Advisory("gunicorn", "CVE-2024-1135", "20.1.0", "22.0.0", confirmed=True)
ACCEPTED = Accepted("urllib3", ("a.lock",), "nothing calls it")


def listing(*advisories: Advisory, accepted: tuple[Accepted, ...] = ()) -> Listing:
    return Listing("", "2026-01-01", advisories, accepted)


def pinned(**versions: str) -> dict[str, dict[str, Version]]:
    return {"a.lock": {name: Version(version) for name, version in versions.items()}}


@pytest.fixture(scope="module")
def pins() -> dict[str, dict[str, Version]]:
    files = pinned_files(Path.cwd())
    assert len(files) > 12
    return all_pins(Path.cwd(), files)


def test_no_pin_is_below_a_known_fix_without_a_reason(pins) -> None:
    assert list(problems(read_listing(LIST), pins)) == []


def test_the_table_in_the_docs_is_up_to_date(pins) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with_table(
        page, read_listing(LIST), pins
    ), "./pants run build-support/advisories:audit -- --offline"


def test_a_pin_below_a_fix_is_told() -> None:
    (problem,) = problems(listing(FAULT, OTHER), pinned(urllib3="1.26.4", gunicorn="22.0.0"))
    assert "a.lock pins urllib3 1.26.4, which CVE-2021-33503 is about: take 1.26.5" in problem


def test_a_reason_holds_for_its_file_alone_and_only_while_it_is_needed() -> None:
    excused = listing(FAULT, accepted=(ACCEPTED,))
    pins = pinned(urllib3="1.25.11")
    assert list(problems(excused, pins)) == []
    (problem,) = problems(excused, {**pins, "b.lock": pins["a.lock"]})
    assert problem.startswith("b.lock")
    (problem,) = problems(excused, pinned(urllib3="2.0"))
    assert "excuses urllib3 in a.lock" in problem


def test_the_list_reads_as_it_was_written(tmp_path: Path) -> None:
    written = listing(FAULT, OTHER, accepted=(ACCEPTED,))
    write_listing(tmp_path / "list.json", written)
    read = read_listing(tmp_path / "list.json")
    assert read == listing(OTHER, FAULT, accepted=(ACCEPTED,))


class Database(BaseHTTPRequestHandler):
    """Answers as OSV does."""

    known = {
        "urllib3": [("PYSEC-2021-108", "CVE-2021-33503", "1.26.5"), ("GHSA-x", "CVE-1", "1.27")],
    }

    def do_POST(self) -> None:  # noqa: N802
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = [
            {
                "id": number,
                "aliases": [alias],
                "summary": "a fault",
                "modified": "2026-01-01T00:00:00Z",
                "affected": [
                    {
                        "package": {"name": asked["package"]["name"], "ecosystem": "PyPI"},
                        "ranges": [
                            {
                                "type": "ECOSYSTEM",
                                "events": [{"introduced": "0"}, {"fixed": fixed}],
                            }
                        ],
                    }
                ],
            }
            for number, alias, fixed in self.known.get(asked["package"]["name"], [])
            if Version(asked["version"]) < Version(fixed)
        ]
        body = json.dumps({"vulns": found} if found else {}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def database() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def test_a_refresh_confirms_what_the_database_knows_and_adds_what_is_new(database: str) -> None:
    unknown = Advisory("gunicorn", "CVE-0", "20.1.0", "22.0.0", confirmed=True)
    found = refresh(listing(FAULT, unknown), pinned(urllib3="1.26.20"), database)
    assert {(entry.id, entry.fixed, entry.confirmed) for entry in found.advisories} == {
        ("CVE-2021-33503", "1.26.5", True),
        ("CVE-1", "1.27", True),
        ("CVE-0", "22.0.0", False),
    }
    assert found.refreshed


def test_without_a_database_nothing_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AuditError, match="cannot be asked"):
        refresh(listing(FAULT), {}, "http://127.0.0.1:9/v1/query")
    write_listing(tmp_path / "list.json", listing(FAULT))
    monkeypatch.chdir(tmp_path)
    assert main(["--offline"]) == 2
    assert "start this in the root of the repository" in capsys.readouterr().err
