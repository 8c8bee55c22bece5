"""What a bundle's own command refuses before it starts anything."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from ktt_serving.launcher import main


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_an_address_where_another_listens_is_told_in_one_line(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing of BentoML is needed to say so.
    monkeypatch.setitem(sys.modules, "bentoml", None)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as other:
        try:
            other.bind((host, 0))
        except OSError:
            pytest.skip(f"this machine has no {host}")
        other.listen()
        port = str(other.getsockname()[1])
        with pytest.raises(SystemExit, match=rf"cannot listen on .*{port}.* another --host or"):
            main(Path(), ["--host", host, "--port", port])


def test_an_address_that_is_not_this_machine_s_is_told_in_one_line() -> None:
    with pytest.raises(SystemExit, match="cannot listen on 192.0.2.1:5000"):
        main(Path(), ["--host", "192.0.2.1"])
