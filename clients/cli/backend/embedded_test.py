"""Exports without a server: every one is checked once, before the first is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from cli.backend.embedded import EmbeddedBackend
from cli.backend.protocol import Watcher
from exporter import Exporter, ExportSpec
from ktt_core.errors import JobFailedError


class Silent:
    """A watcher that shows nothing."""

    def begins(self, *arguments: Any) -> None:
        """Show nothing."""


def test_exports_are_checked_once_before_the_first_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []

    def check(workspace: Path, spec: ExportSpec) -> None:
        steps.append(("check", spec.model))

    def run(exporter: Exporter, spec: ExportSpec, on_event: Any) -> None:
        steps.append(("run", spec.model))
        raise JobFailedError("tried")

    monkeypatch.setattr("exporter.checking.check_export", check)
    monkeypatch.setattr(Exporter, "run_export", run)
    specs = [ExportSpec("shop", "a"), ExportSpec("shop", "b")]
    EmbeddedBackend(tmp_path).export(specs, None, cast(Watcher, Silent()))
    assert steps == [("check", "a"), ("check", "b"), ("run", "a"), ("run", "b")]
