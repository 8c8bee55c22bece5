"""`ktt serve` watches two services."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from cli import serve
from ktt_rpc.settings import ServerSettings


class Service:
    """Stands in for a process that ends, or says where it listens, at a given look."""

    def __init__(self, name: str, code: int | None = None, comes_up: bool = False) -> None:
        self.name = name
        self.exit_code = code
        self._reads, writes = os.pipe()
        self._comes_up = comes_up
        if comes_up:
            os.write(writes, b"x")
        os.close(writes)
        self.signals: list[signal.Signals] = []

    def fileno(self) -> int:
        return self._reads

    def address(self) -> str | None:
        return "127.0.0.1:1" if self._comes_up else None

    def send(self, signum: signal.Signals) -> None:
        self.signals.append(signum)
        # Up by now, and ends in order.
        self._comes_up, self.exit_code = True, 0


def test_a_service_that_comes_up_after_the_other_has_ended_is_not_announced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exporter, trainer = Service("exporter", code=2), Service("trainer")
    code = serve._attend([trainer, exporter], [], Path("workspace"), ServerSettings())  # type: ignore[list-item]
    assert code == 2
    assert trainer.signals == [signal.SIGTERM]
    told = capsys.readouterr().err
    assert "the exporter ended with exit code 2" in told and "serve" not in told
