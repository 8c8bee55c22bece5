"""Messages keep what they say of a server's files, and lose where these are."""

from pathlib import Path

import pytest

from ktt_rpc.private_paths import PrivatePaths


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no 'x' in /data/ws; there are: a", "no 'x' in the workspace; there are: a"),
        ("/data/ws/outputs/a_b is gone", "outputs/a_b is gone"),
        ("'/data/ws/weights/m' and /data/ws", "'weights/m' and the workspace"),
        ("/data/ws2/x, /data/ws-old, /data/ws.bak", "/data/ws2/x, /data/ws-old, /data/ws.bak"),
        ("/etc/passwd in /data", "/etc/passwd in /data"),
        ("", ""),
    ],
)
def test_a_folder_s_place_is_left_out(text, shown):
    assert PrivatePaths([Path("/data/ws")]).hide(text) == shown


def test_a_folder_is_known_by_all_of_its_names(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    paths = PrivatePaths([Path("link")])
    assert paths.hide(f"{tmp_path}/link/a and {tmp_path}/real/b") == "a and b"
    assert paths.hide("link/a") == "link/a"


def test_nothing_private_changes_nothing():
    for paths in (PrivatePaths(), PrivatePaths([Path("/")])):
        assert paths.hide("/data/ws/x in /") == "/data/ws/x in /"
